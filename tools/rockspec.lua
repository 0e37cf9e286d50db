--[[
rockspec.lua ROCKSPEC [write]

Compares the list of files in the rockspec with the files in src/ and lua/.
Says what differs and fails; with "write", puts the list right instead.
]]

local path, write = arg[1], arg[2] == "write"

-- The files under 'dir' that end in 'suffix', sorted, without "dir/".
local function files(dir, suffix)
  local list = {}
  local find <close> = assert(io.popen(("find %s -type f -name '*%s'"):format(dir, suffix)))
  for name in find:lines() do list[#list + 1] = name:sub(#dir + 2) end
  table.sort(list)
  return list
end

-- "isolate/init.lua" is the module "isolate", "isolate/port.lua" is "isolate.port".
local function module_name(file)
  return (file:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

-- The lines between the two markers, as they should be.
local function listing()
  local out = { '    ["isolate.core"] = {\n      sources = {\n' }
  for _, file in ipairs(files("src", ".c")) do
    out[#out + 1] = ('        "src/%s",\n'):format(file)
  end
  out[#out + 1] = "      },\n    },\n"
  for _, file in ipairs(files("lua", ".lua")) do
    out[#out + 1] = ('    ["%s"] = "lua/%s",\n'):format(module_name(file), file)
  end
  return table.concat(out)
end

-- Prints the lines of 'a' that 'b' does not have, after 'label'.
local function difference(a, b, label)
  local known = {}
  for line in b:gmatch "[^\n]+" do known[line] = true end
  for line in a:gmatch "[^\n]+" do
    if not known[line] then io.stderr:write(path, ": ", label, line, "\n") end
  end
end

local file <close> = assert(io.open(path))
local text = file:read "a"
local head, list, tail = text:match "^(.-begin files[^\n]*\n)(.-)( *%-%- end files.*)$"
assert(head, "the rockspec has lost its 'begin files' and 'end files' lines")

local wanted = listing()
if list == wanted then return end
if write then
  local out <close> = assert(io.open(path, "w"))
  out:write(head, wanted, tail)
else
  difference(wanted, list, "missing: ")
  difference(list, wanted, "not a file: ")
  io.stderr:write(path, ": `make rockspec` puts the list of files right\n")
  os.exit(1)
end
