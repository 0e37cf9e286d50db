-- What the specs of ports, futures, tasks, timers and the loop have in common.

local Isolate = require "isolate"
local assert  = require "luassert"

local turns = {}

-- Handles all that waits in this isolate's queue.
function turns.pump()
  while Isolate.step() do end
end

-- A list, and a function that adds to it.
function turns.new_log()
  local log = {}
  return log, function(entry) log[#log + 1] = entry end
end

-- The error that fn raises.
function turns.failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return err
end

return turns
