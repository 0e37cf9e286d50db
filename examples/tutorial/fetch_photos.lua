-- fetch_photos.lua: the cookbook's recipe: the body of a response, 5000 photos as JSON, is parsed by `compute` while frames
-- are painted here. The Photos arrive with their class, because it is a module. A file stands in for the server.
-- Run it:  lua5.4 examples/tutorial/fetch_photos.lua    (examples/photos.lua does it with 211,640, and measures)
package.path = (arg[0]:match "^.*[/\\]" or "") .. "../?.lua;" .. package.path

local Isolate = require "isolate"
local json    = require "cjson"
local Photo   = require "photos.photo"
local file    = require "photos.file"

local fetch_photos, parse_photos, get                  -- below

local function main()
  local frames = 0
  local timer = Isolate.Timer.periodic(0.001, function() frames = frames + 1 end)

  local photos = fetch_photos():await()
  print(#photos .. " photos", "the first: " .. photos[1].title)
  print("they are Photos:", getmetatable(photos[5000]) == Photo)
  print("frames were painted meanwhile:", frames > 0)
  timer:cancel()
end

-- A Future of all photos.
function fetch_photos()
  local response = get "/photos"
  return Isolate.compute(parse_photos, response.body)
end

-- Runs in an isolate. Returns the list of Photos that is written in `body`.
function parse_photos(body)
  local photos = {}
  for i, record in ipairs(json.decode(body)) do photos[i] = Photo.from_json(record) end
  return photos
end

-- What a server would answer.
function get()
  local source <close> = assert(io.open(file.path(5000)))
  return {body = source:read "a"}
end

main()

--[[ Output:
5000 photos	the first: <title>
they are Photos:	true
frames were painted meanwhile:	true
]]
