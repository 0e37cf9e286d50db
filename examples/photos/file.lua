-- file.lua
-- The JSON file of examples/photos.lua: records like jsonplaceholder's, the same on every machine.

local file = {}

local words = {}                                       -- 64 of them: three make 262,144 titles
for word in ([[
  ad alias animi at aut autem cum dicta dolor ea enim eos error est et eum
  ex fuga harum hic id illum in ipsa iste iure magni minus modi nam nemo nihil
  non nulla odio odit omnis porro quae quam quas qui quia quis quo quod quos rem
  rerum sed sint sit sunt totam ullam unde ut vel velit vero vitae minima nisi saepe
]]):gmatch "%a+" do
  words[#words + 1] = word
end

-- The record number `id`, as JSON. No two have the same title or the same colour.
local function record(id)
  local title = id * 40503
  local word = function(shift) return words[(title >> shift & 63) + 1] end
  local colour = id * 0x9E3779 & 0xFFFFFF
  return ([[{"albumId":%d,"id":%d,"title":"%s %s %s","url":"/600/%06x.png","thumbnailUrl":"/150/%06x.png"}]])
    :format((id + 49) // 50, id, word(0), word(6), word(12), colour, colour)
end

-- Writes `count` records to `path`: all of them, or there is no such file.
local function write(path, count)
  local draft = ("%s.%08x"):format(path, math.random(0, 0xFFFFFFFF))
  local out <close> = assert(io.open(draft, "wb"))
  assert(out:write "[")
  for id = 1, count do assert(out:write(id > 1 and ",\n" or "\n", record(id))) end
  assert(out:write "\n]\n")
  assert(out:close())
  assert(os.rename(draft, path))
end

-- The value of an environment variable; nil if it is empty, too.
local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- A folder to keep the file in, made if need be.
local function cache_folder()
  local home = variable "HOME"
  local cache = variable "XDG_CACHE_HOME" or home and home .. "/.cache"
  if cache then
    local folder = cache .. "/isolate"
    local quoted = "'" .. folder:gsub("'", "'\\''") .. "'"
    if os.execute("mkdir -p " .. quoted .. " 2>/dev/null && test -w " .. quoted) then return folder end
  end
  return variable "TMPDIR" or "/tmp"
end

-- The path of a file with `count` records, which is written if it is not there yet.
function file.path(count)
  local path = ("%s/photos-%d.json"):format(cache_folder(), count)
  local there = io.open(path)
  if there then there:close() else write(path, count) end
  return path
end

return file
