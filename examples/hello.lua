-- hello.lua: functions that run in parallel, each in an isolate: its own Lua state, on its own thread.
-- Locals go along, all results come back, errors too, with the place over there; here a timer ticks on meanwhile.
-- Run it:  lua5.4 examples/hello.lua
local Isolate = require "isolate"

local limit = 2000000                                  -- goes along, by value

local primes = Isolate.run(function()
  local found, composite = 0, {}
  for n = 2, limit do
    if not composite[n] then
      found = found + 1
      for multiple = n * n, limit, n do composite[multiple] = true end
    end
  end
  return found
end)

local ticks = 0
local timer = Isolate.Timer.periodic(0.001, function() ticks = ticks + 1 end)
print("primes up to " .. limit .. ":", primes:await()) -- waits, and ticks
print("ticked meanwhile:", ticks > 10)
timer:cancel()

local function divide(a, b) return a // b, a % b end
print("17 divided by 5:", Isolate.run(divide, 17, 5):await())

local ok, err = pcall(function() return Isolate.run(divide, 17, 0):await() end)
print("17 divided by 0:", ok, err.message)
print("it happened at:", err.traceback:match "hello%.lua:%d+")

--[[ Output:
primes up to 2000000:	148933
ticked meanwhile:	true
17 divided by 5:	3	2
17 divided by 0:	false	examples/hello.lua:25: attempt to divide by zero
it happened at:	hello.lua:25
]]
