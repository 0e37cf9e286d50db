-- checksums.lua: a checksum of every file of a folder tree, by four workers, with a progress line on a terminal. What
-- cannot be read is named at the end; a file that takes longer than 30 s is given up; after Ctrl-C it tells what was done.
-- Run it:  lua5.4 examples/checksums.lua [folder]       (default: /usr/include/linux)
local Isolate = require "isolate"
local lfs     = require "lfs"

local files_under, adler32                             -- below

local function main()
  local paths = files_under(arg[1] or "/usr/include/linux", {})
  local sums, failures, done = {}, {}, 0

  local function sum_up()
    local pool <close> = Isolate.Pool { size = 4 }
    local bar <close> = Isolate.ProgressBar(#paths, { label = "checksums" })
    local given = 0
    local function next_path()
      given = given + 1
      return paths[given]
    end
    local jobs = pool:with { timeout = 30 }
    for i, sum, problem in jobs:imap(adler32, next_path, { ordered = false, errors = "collect", ahead = 64 }) do
      if sum then sums[paths[i]] = sum else failures[#failures + 1] = problem end
      done = done + 1
      bar:update(done)
    end
  end

  local ok, problem = pcall(sum_up)
  local total = 0
  for _, sum in pairs(sums) do total = total ~ sum end
  print(("%d of %d files; all together %08x"):format(done - #failures, #paths, total))
  for _, failure in ipairs(failures) do print("failed: " .. failure.item .. ": " .. failure.message) end
  if not ok then
    io.stderr:write("stopped: ", tostring(problem), "\n")
    os.exit(130, true)
  end
end

-- Adds the paths of all files under `folder` to `list`.
function files_under(folder, list)
  local readable, iterate, state = pcall(lfs.dir, folder)
  if not readable then return list end
  for name in iterate, state do
    local path = folder .. "/" .. name
    local mode = name ~= "." and name ~= ".." and lfs.symlinkattributes(path, "mode")
    if mode == "directory" then files_under(path, list) end
    if mode == "file" then list[#list + 1] = path end
  end
  return list
end

-- Runs in a worker: Adler-32 of a file.
function adler32(path)
  local file <close> = assert(io.open(path, "rb"))
  local a, b = 1, 0
  for block in file:lines(4096) do
    for i = 1, #block do
      a = a + block:byte(i)
      b = b + a
    end
    a, b = a % 65521, b % 65521
  end
  return b << 16 | a
end

main()

--[[ Output:
<n> of <n> files; all together <hash>
]]
