-- photo.lua
-- The class Photo of examples/photos.lua: a module, so that every isolate finds it by name.

local Photo = {__name = "Photo"}
Photo.__index = Photo

-- Makes the decoded JSON `record` a Photo, and returns it.
function Photo.from_json(record)
  return setmetatable(record, Photo)
end

function Photo:caption()
  return ("photo %d of album %d, %q"):format(self.id, self.albumId, self.title)
end

return Photo
