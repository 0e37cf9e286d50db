-- load_spec.lua
-- Many isolates, many messages, kills in the middle of anything. Each program of
-- spec/load runs in a child process; it checks order and number of what arrives, and
-- that threads, descriptors, memory in use and the list of isolates are afterwards as
-- they were before (spec/support/load.lua). `make stress` runs the full sizes.

local helper = require "spec.helper"

local scale = tonumber(os.getenv "ISOLATE_STRESS")

-- Builds the module that counts memory in use. Where malloc does not tell, and with a
-- sanitizer, whose malloc is another, it is left out.
local function build_heap()
  if os.getenv "SANITIZER" then return end
  local dir = helper.tempdir()
  local command = ("%s -shared -fPIC -I%s -o %s/heap.so spec/load/heap.c 2>/dev/null"):format(
    os.getenv "CC" or "cc", os.getenv "LUA_INCDIR" or "/usr/include/lua5.4", dir)
  if os.execute(command) then return dir end
end

local heap = build_heap()

-- Runs spec/load/NAME.lua with a seed that a failure names.
local function run(name)
  local seed = math.random(2^31)
  local result = helper.run_file("spec/load/" .. name .. ".lua", {
    guard = scale and 60 + 600 * scale or 60,
    env = {
      ISOLATE_SEED = seed,
      LUA_CPATH_5_4 = (heap and heap .. "/?.so;" or "") .. package.cpath,
    },
  })
  local said = ("ISOLATE_SEED=%d %s: %s%s"):format(seed, name, result.stdout, result.stderr)
  assert(not result.timed_out, "the guard ended " .. said)
  assert(result.status == 0, ("status %s, signal %s, "):format(result.status, result.signal) .. said)
  assert.equal("", result.stderr)
  if scale then io.write(("\n  %s  (%.1f s)\n"):format(result.stdout:gsub("\n$", ""), result.seconds)) end
end

describe("isolates", function()
  it("live one after the other, thousands of them", function() run "one_after_another" end)
  it("live thousands at once", function() run "alive_at_once" end)
  it("wait for one another in a chain of thousands", function() run "nested" end)
  it("hand a token round in a ring", function() run "ring" end)
  it("send to one port, and the order of each is kept", function() run "senders" end)
  it("go on sending when a port is closed or its isolate ends", function() run "closed_ports" end)
  it("end with the program, thousands of them #signal", function() run "ending" end)
  -- #signal, for the thread sanitizer would hand the signals on late; and switches of
  -- coroutines in this number fill its stacks
  it("may be killed in the middle of anything #signal", function() run "killed_at_random" end)
  it("listen to one that is killed, and hear of it once", function() run "listeners" end)
end)
