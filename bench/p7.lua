-- p7.lua
-- P7, two workers with nothing but Lua to compute. Floor: two plain lua5.4 processes that do the same. Goal: at least
-- 0.97 of their speed, so at most 1 / 0.97 of their time.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p7 = {title = "Two workers", sides = {}}

-- Sums up the lengths of Collatz sequences from 1 to n: integers and branches.
p7.work = [[
  local n = ...
  local sum = 0
  for i = 1, n do
    local x = i
    while x ~= 1 do
      x = x % 2 == 0 and x // 2 or 3 * x + 1
      sum = sum + 1
    end
  end
  return sum
]]

function p7.sides.isolates(n)
  n = tonumber(n)
  local work <const> = p7.work
  local function compute() return load(work)(n) end
  local start = now()
  local one, other = Isolate.run(compute), Isolate.run(compute)
  assert(one:await() == other:await())
  return now() - start
end

function p7.sides.processes(n)
  local seconds, one, other = frame.two_processes(("print((function(...) %s end)(tonumber(arg[1])))"):format(p7.work), n, n)
  assert(one == other)
  return seconds
end

p7.rows = {
  {
    "two workers, Lua only", unit = "ms", ours = "p7 isolates 150000", floor = "p7 processes 150000",
    goal = frame.at_most(1 / 0.97),
    others = {{"luv", "peers luv_two_workers 150000"}, {"cqueues", "peers cqueues_two_workers 150000"}},
  },
}

return p7
