--[[
load.lua
What the programs in spec/load share: how large they are, their seed, and the
comparison of what the process holds before and after.

  ISOLATE_STRESS=1     the scale: 1 is full size, the default a fiftieth of it
  ISOLATE_SEED=n       repeats the random choices of a run

Each can be run by itself: ISOLATE_STRESS=0.1 lua5.4 spec/load/ring.lua
]]

local Isolate = require "isolate"
local status  = require "spec.support.status"

local load = {}

local scale = tonumber(os.getenv "ISOLATE_STRESS") or 0.02

local seed = tonumber(os.getenv "ISOLATE_SEED") or math.random(2^31)
math.randomseed(seed)

--- `full` at the scale, but no less than `least`.
function load.size(full, least)
  return math.max(least or 1, math.floor(full * scale))
end

--- Raises with the seed in the message unless `ok`.
function load.check(ok, text, ...)
  if not ok then
    error(text:format(...) .. (" (ISOLATE_SEED=%d)"):format(seed), 2)
  end
end

------------------------------------------------------------------------------
-- What the process holds

local function read(path)
  local file <close> = io.open(path)
  return file and file:read "a" or ""
end

-- The thread sanitizer has a thread of its own.
local others = os.getenv "SANITIZER" == "tsan" and 1 or 0

--- Threads of this process.
function load.threads() return status "Threads" - others end

--- Memory that this process uses, in MB.
function load.memory() return status "VmRSS" / 1024 end

-- Open descriptors of this process: a list of their numbers, as text.
local function descriptors()
  local open = {}
  for i = 0, 1000 do
    local file <close> = io.open("/proc/self/fdinfo/" .. i)
    if file then open[#open + 1] = i end
  end
  return table.concat(open, " ")
end

--- Waits for `fn()`, for threads leave a moment after they have told of their end.
function load.eventually(fn)
  local clock <close> = Isolate.ReceivePort()
  for _ = 1, 2000 do
    if fn() then return true end
    clock:receive(0.01)
  end
end

-- Bytes given out by malloc, where spec/load/heap.c could be built. What the process
-- has (`load.memory`) is more: glibc keeps what threads have freed for new ones.
local known, used = pcall(require, "heap")

-- What more rounds may add to that, in bytes: with thousands alive, tables of main's own
-- may have come to twice their size; else blocks of threads that glibc has not had back.
local LUA_SLACK, SLACK = 400000, 100000

-- What a round must leave behind as it was.
local function settle()
  load.check(load.eventually(function() return load.threads() == 1 end),
    "%d threads are left", load.threads())
  load.check(#Isolate.list() == 1, "%d isolates are listed", #Isolate.list())
  Isolate.sleep(0.001)  -- messages for closed ports go when it is their turn
  -- main keeps up to 1 MiB of what its largest message was written in: that goes with one of more
  local port <close> = Isolate.ReceivePort()
  port.send_port:send(("x"):rep(1 << 21))
  assert(#port:receive(10) == 1 << 21)
  for _ = 1, 3 do collectgarbage() end  -- SendPorts go in the cycle after
  local lua = collectgarbage "count" * 1024 // 1
  return lua, known and used() - lua or 0, load.memory(), descriptors()
end

--- Calls `round()`, which is to leave nothing behind, `warm` times, and `times`
-- more: the second lot must leave threads, descriptors, memory and the list of
-- isolates as the first did. Then prints `what` was done.
function load.rounds(warm, times, round, what)
  local begun, start = load.memory(), os.time()
  for _ = 1, warm do round() end
  local lua, bytes, first, files = settle()
  for _ = 1, times do round() end
  local lua_now, bytes_now, last, files_now = settle()
  load.check(files_now == files, "the descriptors open were %s, are %s",
    files, files_now)
  load.check(lua_now - lua < LUA_SLACK, "%d rounds more have left %.0f bytes of Lua's", times, lua_now - lua)
  load.check(bytes_now - bytes < SLACK, "%d rounds more have left %.0f bytes", times, bytes_now - bytes)
  print(("%s: %d s; %.0f bytes of Lua's and %.0f others more in use after %d rounds than after %d; "
    .. "process %.0f, %.0f, %.0f MB"):format(what, os.time() - start, lua_now - lua, bytes_now - bytes,
    warm + times, warm, begun, first, last))
end

------------------------------------------------------------------------------
-- What the system allows

-- The smallest pids.max of the cgroups that this process is in.
local function cgroup_limit()
  local least = math.huge
  for path in read "/proc/self/cgroup":gmatch "[^\n:]*:[^\n:]*:([^\n]*)" do
    for _, root in ipairs { "/sys/fs/cgroup", "/sys/fs/cgroup/pids" } do
      for _, place in ipairs { path, "" } do
        least = math.min(least, tonumber(read(root .. place .. "/pids.max")) or math.huge)
      end
    end
  end
  return least
end

--- As many isolates at once as the system allows, at most `wanted`. Says on stdout
-- when that is fewer, and why.
function load.alive(wanted)
  local limits = {
    -- stack and guard, and now and then a block of the allocator's
    { "/proc/sys/vm/max_map_count", (tonumber(read "/proc/sys/vm/max_map_count") or math.huge) / 4 },
    { "/proc/sys/kernel/threads-max", tonumber(read "/proc/sys/kernel/threads-max") },
    { "/proc/sys/kernel/pid_max", tonumber(read "/proc/sys/kernel/pid_max") },
    { "ulimit -u", tonumber(read "/proc/self/limits":match "Max processes%s+(%d+)") },
    { "the cgroup's pids.max", cgroup_limit() },
    { "the free memory", (tonumber(read "/proc/meminfo":match "MemAvailable:%s*(%d+)") or math.huge) / 1024 },
  }
  for _, limit in ipairs(limits) do
    -- the rest of the system needs some, too
    local most = (limit[2] or math.huge) * 0.8 // 1
    if most < wanted then
      print(("%d instead of %d at once: %s allows no more"):format(most, wanted, limit[1]))
      wanted = math.tointeger(most)
    end
  end
  return wanted
end

return load
