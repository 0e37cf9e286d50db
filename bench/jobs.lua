-- jobs.lua
-- Pools: empty jobs one by one, and in chunks of the size that `map` finds, as ratios to the plain program of P3 (goals:
-- 0.03 and 0.15 of its rate); the rows of a Mandelbrot picture on two cores, as a ratio to two plain processes (at
-- most 1 / 0.97 of their time); and what a million items through `imap` leave in memory.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local jobs = {title = "Pools", sides = {}}

local function nothing() end

local function warm_pool(size)
  local pool = Isolate.Pool {size = size}
  local first = {}
  for i = 1, 2 * Isolate.processors() do first[i] = pool:run(nothing) end
  for _, job in ipairs(first) do job:await() end
  return pool
end

-- Seconds per job, of `n` that are all in the queue as soon as may be.
function jobs.sides.one_by_one(n)
  n = tonumber(n)
  local pool <close> = warm_pool()
  local list, start = {}, now()
  for i = 1, n do list[i] = pool:run(nothing) end
  for i = 1, n do list[i]:await() end
  return (now() - start) / n
end

function jobs.sides.map(n)
  n = tonumber(n)
  local pool <close> = warm_pool()
  local list = {}
  for i = 1, n do list[i] = i end
  local start = now()
  pool:map(nothing, list)
  return (now() - start) / n
end

-- A row of the picture: how many of its points are in the set.
local row = [[
  local y, width, height = ...
  local inside = 0
  local ci = (y - height / 2) * 2 / height
  for x = 1, width do
    local cr = (x - width * 0.7) * 3 / width
    local zr, zi, n = 0, 0, 0
    while n < 200 and zr * zr + zi * zi < 4 do
      zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1
    end
    if n == 200 then inside = inside + 1 end
  end
  return inside
]]

function jobs.sides.mandelbrot(height)
  height = tonumber(height)
  local rows = {}
  for y = 1, height do rows[y] = y end
  local start = now()
  local pool <close> = Isolate.Pool {size = 2}
  local code = row
  local compute
  pool:map(function(y)
    compute = compute or load(code)
    return compute(y, 2 * height, height)
  end, rows)
  return now() - start
end

function jobs.sides.mandelbrot_processes(height)
  return (frame.two_processes(("local row, sum, height = load [==[%s]==], 0, %d for y = arg[1], height, 2 do "
    .. "sum = sum + row(y, 2 * height, height) end print(sum)"):format(row, tonumber(height)), 1, 2))
end

-- MiB of this isolate's heap more after `n` items than after a hundredth of them.
function jobs.sides.imap_growth(n)
  n = tonumber(n)
  local pool <close> = warm_pool()
  local given, early = 0, nil
  for i in pool:imap(nothing, function()
    given = given + 1
    if given <= n then return given end
  end) do
    if i == math.max(1, n // 100) then
      collectgarbage()
      early = collectgarbage "count"
    end
  end
  collectgarbage()
  return math.max(0, collectgarbage "count" - early) / 1024
end

jobs.rows = {
  {
    "empty jobs, one by one", unit = "rate", ours = "jobs one_by_one 50000", floor = "floor plain 1000000",
    goal = frame.at_least(0.03),
  },
  {
    "empty jobs, by map", unit = "rate", ours = "jobs map 1000000", floor = "floor plain 1000000",
    goal = frame.at_least(0.15),
  },
  {
    "Mandelbrot, two workers", unit = "ms", ours = "jobs mandelbrot 400", floor = "jobs mandelbrot_processes 400",
    goal = frame.at_most(1 / 0.97),
  },
  {
    "MiB more after 1,000,000 of imap", unit = "number", ours = "jobs imap_growth 1000000", rounds = 3,
    goal = frame.no_more_than(1),
  },
}

return jobs
