local media = require "perilune.media"

describe("media", function()
  it("believes what was said", function()
    assert.equal("image/webp", media.image_type { mime = "image/WebP", data = "/9j/" })
    assert.equal("image/jpeg", media.image_type { mime = "image/jpg" })
    assert.equal("text/csv", media.file_type { mime = "text/csv", name = "a.pdf" })
  end)

  it("knows pictures by how they begin", function()
    assert.equal("image/png", media.image_type { data = "iVBORw0KGgoAAAA" })
    assert.equal("image/jpeg", media.image_type { data = "/9j/4AAQ" })
    assert.equal("image/gif", media.image_type { data = "R0lGODlh" })
    assert.equal("image/webp", media.image_type { data = "UklGRiQA" })
    assert.equal("image/png", media.image_type { data = "AAAA", mime = "" })
  end)

  it("knows files by their names", function()
    assert.equal("text/markdown", media.file_type { name = "notes.MD" })
    assert.equal("application/pdf", media.file_type { name = "no ending" })
    assert.equal("application/pdf", media.file_type {})
    assert.equal("video/mp4", media.type_of_name "gs://bucket/clip.mp4?x=1")
    assert.is_nil(media.type_of_name "https://example.com/")
    assert.is_nil(media.type_of_name(nil))
  end)

  it("names sounds both ways", function()
    for _, format in ipairs { "wav", "mp3", "flac", "ogg", "aac" } do
      assert.equal(format, media.sound_format(media.sound_type(format)))
    end
    assert.equal("audio/wav", media.sound_type(nil))
    assert.equal("audio/amr", media.sound_type "amr")
    assert.equal("mp3", media.sound_format "audio/mpeg")
  end)
end)
