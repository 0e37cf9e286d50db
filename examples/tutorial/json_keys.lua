-- json_keys.lua: a JSON file is read and parsed in an isolate: by a named function, then by a closure. What they use
-- goes along, the file's name by value and the JSON library by name; the caller goes on until it asks for the result.
-- Run it:  lua5.4 examples/tutorial/json_keys.lua
local Isolate = require "isolate"
local json = require "cjson"

local filename = (arg[0]:match "^.*[/\\]" or "") .. "with_keys.json"

local read_and_parse_json, count                       -- below

local function main()
  local data = Isolate.run(read_and_parse_json):await()
  print("Number of JSON keys: " .. count(data))

  data = Isolate.run(function()
    local file <close> = assert(io.open(filename))
    return json.decode(file:read "a")
  end):await()
  print("Number of JSON keys: " .. count(data))
end

-- Runs in the isolate; it could just as well run here.
function read_and_parse_json()
  local file <close> = assert(io.open(filename))
  return json.decode(file:read "a")
end

-- The number of keys in `object`.
function count(object)
  local n = 0
  for _ in pairs(object) do n = n + 1 end
  return n
end

main()

--[[ Output:
Number of JSON keys: 5
Number of JSON keys: 5
]]
