local kit = require "support.policy_kit"

describe("auto", function()
  it("is cheapest, unless somebody writes another page", function()
    kit.setup()
    kit.load_shipped "auto"
    kit.load_shipped "cheapest"
    for _, over in ipairs { {}, { model = "gpt-4o" }, { uses = { images = true } } } do
      assert.same((kit.ask("cheapest", over)), (kit.ask("auto", over)))
    end
  end)
end)
