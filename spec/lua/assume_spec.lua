local assume = require "perilune.assume"
local catalogue = require "perilune.catalogue"
local kit = require "support.policy_kit"

describe("assume", function()
  before_each(function()
    kit.setup()
  end)

  local function view(id)
    return catalogue.views[catalogue.lookup(id)[1]]
  end

  it("shuts a provider, a model everywhere, or one target", function()
    assert(assume.all { "openai=down" })
    assert.equal("open", view("openai/gpt-4o").state)
    assert.equal("open", view("openai/gpt-4o-mini").state)
    assert.equal("closed", view("azure/gpt-4o").state)
    assert(assume.all { "openai/gpt-4o = up", "azure/gpt-4o.state=half_open" })
    assert.equal("closed", view("openai/gpt-4o").state)
    assert.equal("half_open", view("azure/gpt-4o").state)
    assert(assume.all { "gpt-4o=down" })
    assert.equal("open", view("azure/gpt-4o").state)
  end)

  it("sets figures and prices", function()
    assert(assume.all {
      "openai/gpt-4o.ttft_ms=900", "openai.error_rate=0.25", "openai.headroom=0", "openai.in_flight=7", "openai.tokens_per_s=50",
      "openai/gpt-4o.price.input=1", "openai/gpt-4o.price.output=2",
    })
    local t = view "openai/gpt-4o"
    assert.same({ 900, 0.25, 0, 7, 50, 1, 2 },
      { t.ttft_ms.p50, t.error_rate, t.headroom, t.in_flight, t.tokens_per_s, t.price.input, t.price.output })
  end)

  it("knows what is about who asks, which changes no target", function()
    local list = assert(assume.all { "key=ci", "budget.left_usd=0.5", "openai/gpt-4o=down" })
    assert.same({ true, true, nil }, { list[1].of_asker, list[2].of_asker, list[3].of_asker })
    assert.equal("open", view("openai/gpt-4o").state)
  end)

  it("says what is wrong, and then changes nothing", function()
    for text, why in pairs {
      ["openai"] = "expected TARGET=down",
      ["=down"] = "expected TARGET=down",
      ["openai/gpt-4o="] = "expected TARGET=down",
      ["opnai=down"] = 'no target, model or provider "opnai"; did you mean "openai"?',
      ["openai=dwn"] = "expected down, up, or a figure",
      ["openai/gpt-4o.in_fligt=1"] = 'there is no figure "in_fligt"; did you mean "in_flight"?',
      ["openai.error_rate=1.5"] = "expected a number from 0 to 1",
      ["openai.ttft_ms=-1"] = "expected a number not below 0",
      ["openai.ttft_ms=inf"] = "expected a number not below 0",
      ["openai.ttft_ms=nan"] = "expected a number not below 0",
      ["budget.lef_usd=1"] = 'there is no such figure of a budget; did you mean "budget.left_usd"? (they are left_usd, used, free_left)',
      ["openai.state=ajar"] = "expected closed, open or half_open",
    } do
      local list, said = assume.all { "azure=down", text }
      assert.is_nil(list)
      assert(said:find(why, 1, true), said)
      assert.equal("closed", view("azure/gpt-4o").state)
    end
  end)
end)
