-- pool_stress_spec.lua
-- A pool in bad weather: workers are killed at random while jobs, cancels, timeouts and
-- closes rain. Every job ends exactly once, and nothing is left.
-- `make stress` runs 300 pools; ISOLATE_SEED=n repeats a run.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local SEED   = tonumber(os.getenv "ISOLATE_SEED") or os.time()
local ROUNDS = math.max(1, math.max(12, 300 * helper.stress) // helper.slow)
local JOBS   = 60

local GUARD = 30 * helper.slow       -- seconds; only a fault ever waits this long

local function count(path)
  local pipe <close> = assert(io.popen("ls " .. path .. " 2>/dev/null | wc -l"))
  return tonumber(pipe:read "a")
end

-- What must be as it was before.
local function things()
  collectgarbage()
  collectgarbage()
  local ports = 0
  for _ in pairs(require "isolate.core".ports) do ports = ports + 1 end
  local pid = helper.read "/proc/self/stat":match "^%d+"
  return { isolates = #Isolate.list(), ports = ports, alive = require "isolate.core".alive(),
           threads = count("/proc/" .. pid .. "/task"), files = count("/proc/" .. pid .. "/fd") }
end

-- Jobs, each of which says itself how it may end: its first result, or its error.
local kinds = {
  quick   = function(i) return i end,
  slow    = function(i) Isolate.sleep(0.002) return i end,
  busy    = function(i) local n = 0 for k = 1, 30000 do n = n + k end return n and i end,
  raises  = function(i) error({ job = i }) end,
  exits   = function() os.exit() end,
  leaves  = function() Isolate.exit() end,
  dies    = function() Isolate.current:kill(Isolate.immediate) while true do end end,
  hangs   = function() while true do end end,
  waits   = function() while not Isolate.cancelled() do Isolate.sleep(0.001) end return "asked" end,
  litters = function(i)
    Isolate.ReceivePort()
    Isolate.Timer.periodic(0.0005, function() end)
    return i
  end,
  secret  = function() return io.stdout end,
  later   = function(i) return Isolate.Future.delayed(0.001, function() return i end) end,
  tells   = function(i) for k = 1, 50 do Isolate.progress(k, 50) end return i end,
}
local names = {}
for name in pairs(kinds) do names[#names + 1] = name end
table.sort(names)

-- May a job of that kind end so?
local function plausible(name, i, ok, value)
  if ok then
    if name == "waits" then return value == "asked" end
    return value == i and name ~= "raises" and name ~= "exits" and name ~= "leaves"
      and name ~= "dies" and name ~= "hangs" and name ~= "secret"
  end
  local class = getmetatable(value)
  return class == Isolate.CancelledError or class == Isolate.TimeoutError
    or class == Isolate.RemoteError
end

describe("a pool in bad weather #slow #signal", function()
  local random = math.random

  -- One pool from its beginning to its end.
  local function round(seed)
    math.randomseed(seed)
    local opts = {
      size = random(1, 4), name = "storm", grace = 0.01,
      queue = random(3) == 1 and random(1, 5) or nil,
      recycle_after = random(3) == 1 and random(1, 10) or nil,
    }
    if random(4) == 1 then
      function opts.init() if math.random(3) == 1 then error "bad luck" end end
    end
    local pool = Isolate.Pool(opts)
    local jobs, refused = {}, 0

    local function submit(i)
      local name = names[random(#names)]
      local needs_end = name == "hangs" or name == "waits"
      local how = {
        priority = random(-2, 2),
        timeout = (needs_end or random(4) == 1) and random() * 0.02 + 0.001 or nil,
        on_progress = random(2) == 1 and function() end or nil,
      }
      local ok, result = pcall(function() return pool:with(how):run(kinds[name], i) end)
      if not ok then
        assert(tostring(result):find "this pool is closed", tostring(result))
        refused = refused + 1
        return
      end
      local job = { name = name, i = i, ends = 0, result = result }
      jobs[#jobs + 1] = job
      local function ended(is_value)
        return function(value)
          job.ends = job.ends + 1
          job.ok, job.value = is_value, value
        end
      end
      job.heard = result:next(ended(true), ended(false))
      if random(5) == 1 then
        Isolate.Timer(random() * 0.01, function()
          result:cancel(random(2) == 1 and { gentle = true } or nil)
        end)
      end
    end

    -- Two who send jobs, one who kills workers, and maps in between.
    local tasks = {}
    for t = 1, 2 do
      tasks[t] = Isolate.async(function()
        for i = 1, JOBS do
          submit(t * 1000 + i)
          if random(4) == 1 then Isolate.sleep(random() * 0.003) end
        end
      end)
    end
    tasks[3] = Isolate.async(function()
      for _ = 1, 8 do
        Isolate.sleep(random() * 0.006)
        local _, it = next(pool.workers)
        if it and random(3) > 1 then
          it.handle:kill(random(3) == 1 and Isolate.before_next_event or Isolate.immediate)
        end
      end
    end)
    tasks[4] = Isolate.async(function()
      for _ = 1, 3 do
        local ok, results, failures = pcall(pool.map, pool, function(x)
          if x % 17 == 0 then os.exit() end
          return x
        end, { 1, 2, 3, 4, 5, 17, 18, 19, n = 8 }, { errors = random(2) == 1 and "collect" or nil })
        if ok and failures then
          local missing = 0
          for k = 1, 8 do missing = missing + (results[k] == nil and 1 or 0) end
          assert.equal(missing, #failures)
        end
        local n = 0
        pcall(function()
          for _ in pool:imap(kinds.quick, function() n = n + 1 return n <= 20 and n or nil end,
            { ordered = random(2) == 1, errors = "collect" }) do
            if random(30) == 1 then break end
          end
        end)
      end
    end)

    local how = random(4)
    if how == 1 then                                    -- in the middle of it
      Isolate.sleep(random() * 0.02)
      pool:close { drop = random(2) == 1 }
    elseif how == 2 then                                -- by an error
      Isolate.sleep(random() * 0.02)
      pcall(function()
        local _ <close> = pool
        error "thunder"
      end)
    end
    for _, task in ipairs(tasks) do task:await(GUARD) end
    if how == 3 then pool:close { drop = true } else pool:close() end
    for _, job in ipairs(jobs) do
      assert(pcall(job.heard.await, job.heard, GUARD))
      assert.equal(1, job.ends)
      assert(plausible(job.name, job.i, job.ok, job.value),
        ("%s ended with %s"):format(job.name, tostring(job.value)))
    end
    local stats = pool:stats()
    assert.same({ 0, 0, 0 }, { stats.queued, stats.running, #stats.workers })
    assert.is_true(stats.done + stats.failed + stats.cancelled >= #jobs)
    assert.is_true(#jobs + refused == 2 * JOBS)
  end

  it("ends each job once, and leaves nothing behind", function()
    local warm <close> = Isolate.Pool { size = 1 }      -- what comes with the first kill stays
    pcall(function() warm:with { timeout = 0.001 }:run(kinds.hangs):await() end)
    warm:close()
    Isolate.sleep(0.1)
    local before = things()
    for i = 1, ROUNDS do
      local seed = SEED + i
      local ok, why = pcall(round, seed)
      if not ok then error(("ISOLATE_SEED=%d: %s"):format(seed - 1, tostring(why)), 0) end
    end
    local now
    local settled = helper.eventually(function()
      now = things()
      for key, value in pairs(now) do
        if value > before[key] then return false end
      end
      return true
    end, 5, function() Isolate.sleep(0.02) end)
    if not settled then assert.same(before, now) end
  end)
end)
