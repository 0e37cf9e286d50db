-- compute_sum.lua: a function that sleeps ten times, and blocks its isolate with that; this one goes on ticking, and is
-- called back with the result.
-- Run it:  lua5.4 examples/tutorial/compute_sum.lua     (20 ms where the tutorial sleeps for a second)
local Isolate = require "isolate"
local sleep = require "system".sleep                   -- blocks the whole isolate; Isolate.sleep only the task

local function my_isolate(no)
  local sum = 0
  for i = 1, no do
    sleep(0.02)
    sum = sum + i
  end
  return sum
end

local ticks = 0
local timer = Isolate.Timer.periodic(0.005, function() ticks = ticks + 1 end)

Isolate.compute(my_isolate, 10):next(function(value)
  print("result : " .. value)
  print("ticked meanwhile:", ticks > 1)
  timer:cancel()
end)
Isolate.loop()

--[[ Output:
result : 55
ticked meanwhile:	true
]]
