--- Pools: isolates that stay, and take jobs from one queue themselves. So they go
-- on while the isolate that made the pool computes.
--
-- A job is an id: that of the port its answer comes to, and of its message in the
-- queue. While it runs, the seat of its worker says so; when a worker ends, the
-- job on its seat has failed, and no other.

local debug, math, pcall, string, table = debug, math, pcall, string, table
local clock = require "isolate.clock"
local core = require "isolate.core"
local channel = require "isolate.channel"
local errors = require "isolate.errors"
local future = require "isolate.future"
local handle = require "isolate.handle"
local loop = require "isolate.loop"
local map = require "isolate.map"
local options = require "isolate.options"
local private_port = require "isolate.private_port"
local request = require "isolate.request"
local spawn = require "isolate.spawn"
local worker = require "isolate.worker"

local ports, now = core.ports, core.now

local MAX_FAILURES = 5          -- of `init` in a row, until the pool gives up
local FIRST_PAUSE = 0.01        -- seconds after the first; twice as long each time
local SAMPLES = 1024            -- of times that `stats` looks at

---@class isolate.Pool
local Pool = { __name = "isolate.Pool", __transfer = false }
Pool.__index = Pool

-- Closed, and the last worker has gone: who waits for that goes on.
local function settle(pool)
  local finished = pool.finished
  if not finished or finished.done or pool.outstanding > 0 or next(pool.workers) then return end
  core.alive(-1)
  future.complete(finished)
end

------------------------------------------------------------------------------
-- Jobs

local Job = {}
Job.__index = Job

-- Nothing is expected of it any more. False if that was so before.
local function forget(job)
  local pool = job.pool
  if ports[job.id] ~= job then return false end
  ports[job.id] = nil
  core.alive(-1)
  pool.outstanding = pool.outstanding - 1
  if job.timer then job.timer:cancel() end
  settle(pool)
  return true
end

local function fail(job, value, i)
  if not forget(job) then return end
  job.pool.failed = job.pool.failed + 1
  job:ended(false, value, i)
end

local function note(samples, seconds)
  samples.n = samples.n + 1
  samples[(samples.n - 1) % SAMPLES + 1] = seconds
end

-- What its worker sent: the seconds it took, and results; false, and what a
-- RemoteError is made of; or "progress", and how far it is.
function Job:deliver(ok, what, ...)
  if not ok then
    fail(self, errors.unbuilt_answer(what))
  elseif what == "progress" then
    if self.on_progress then loop.start(loop.uncaught, self.on_progress, ...) end
  elseif what then
    local pool = self.pool
    forget(self)
    pool.done = pool.done + 1
    note(pool.running_times, what)
    note(pool.waiting_times, math.max(0, now() - self.submitted - what))
    self.took = what
    self:ended(true, ...)
  else
    local message, traceback, isolate, value, i = ...
    fail(self, errors.RemoteError(message, traceback, isolate, value), i)
  end
end

-- The worker that has the job, and for how many seconds it has.
local function worker_of(job)
  for _, it in pairs(job.pool.workers) do
    local id, seconds = core.seat_job(it.seat)
    if id == job.id then return it, seconds end
  end
end

local function unqueue(job)
  return core.channel_remove(job.pool.queue, job.id, job.id)[1] ~= nil
end

local start_workers

-- Kills a worker, and waits for it no more: a call of C may keep it for long.
local function discard(pool, it)
  pool.workers[it.number] = nil
  it.handle:kill(handle.immediate)
end

-- Takes a forgotten job out of the queue, or kills the worker that has it.
local function stop(job)
  if unqueue(job) then return end
  local pool, it = job.pool, worker_of(job)
  if it and core.seat_doom(it.seat, job.id) then
    discard(pool, it)
    start_workers(pool)
    settle(pool)
  end
end

function Job:cancel()
  if not forget(self) then return end
  self.pool.cancelled = self.pool.cancelled + 1
  stop(self)
end

--- Asks it to end by itself. False if it has not begun, and now never will.
function Job:ask()
  if unqueue(self) then return false end
  local it = worker_of(self)
  if not it then return true end
  core.seat_want(it.seat, self.id)
  return not unqueue(self)      -- it may have come back, from a worker that was killed
end

--- Nobody wants it any more: its answer is dropped.
function Job:abandon()
  self:ask()
  if forget(self) then self.pool.cancelled = self.pool.cancelled + 1 end
end

-- Stops it when it has run for too long. Of one that waits in the queue nobody
-- knows when it will begin: to look again after the whole time is early enough.
local function watch(job, timeout)
  local function look()
    local it, seconds = worker_of(job)
    if not it or seconds < timeout then
      job.timer = clock.after(it and timeout - seconds or timeout, look)
      return
    end
    fail(job, errors.TimeoutError(("the job was not done after %g seconds"):format(timeout)))
    stop(job)
  end
  job.timer = clock.after(timeout, look)
end

-- A function without upvalues of its own goes in a parcel from its second time
-- on: packed once here, and built once in each worker.
local packed = setmetatable({}, { __mode = "k" })

local function stands_alone(fn)
  if type(fn) ~= "function" or debug.getinfo(fn, "S").what == "C" then return false end
  local name = debug.getupvalue(fn, 1)
  return name == nil or name == "_ENV" and debug.getupvalue(fn, 2) == nil
end

local function portable(fn)
  local known = packed[fn]
  if known == nil then
    packed[fn] = stands_alone(fn) and "once" or "whole"
  elseif known == "once" then
    known = core.pack("call", nil, fn)
    packed[fn] = known
  end
  return type(known) == "userdata" and known or fn
end

local function send(pool, id, priority, kind, fn, ...)
  return core.channel_send(pool.queue, "call", id, priority, kind, portable(fn), ...)
end

--- Puts a job into the queue, and waits while that is full. `ended(job, ok, ...)` is
-- called at its end, with its results or the error, and with the number of the
-- item where it was. Errors name the place where the caller of its caller is called.
function Pool:submit(how, ended, kind, fn, ...)
  local id = core.unique()
  local ok, sent = pcall(send, self, id, how.priority or 0, kind, fn, ...)
  core.check()
  if not ok then errors.rethrow(sent, 5) end
  if type(sent) == "userdata" then sent = channel.send_parcel(self.queue, sent) end
  if not sent then error("this pool is closed", 4) end
  -- its answer comes in a later turn of the loop
  local job = setmetatable({ pool = self, id = id, submitted = now(), ended = ended,
    on_progress = how.on_progress }, Job)
  ports[id] = job
  core.alive(1)
  self.outstanding = self.outstanding + 1
  if self.broken then
    unqueue(job)
    loop.ready(function() fail(job, self.broken()) end)
    return job
  end
  if how.timeout then watch(job, how.timeout) end
  start_workers(self)
  return job
end

------------------------------------------------------------------------------
-- Workers

-- Calls `f` for all jobs that have not ended.
local function each_job(pool, f, ...)
  for _, job in pairs(ports) do
    if getmetatable(job) == Job and job.pool == pool then f(job, ...) end
  end
end

-- It seems that no worker can ever begin: all that waits has failed, each with an
-- error of its own.
local function give_up(pool, problem)
  pool.broken = problem
  core.channel_remove(pool.queue)
  each_job(pool, function(job) fail(job, problem()) end)
end

-- A worker could not begin; `problem()` makes the error. The next try comes later
-- each time.
local function failed_to_start(pool, problem)
  pool.failures = pool.failures + 1
  if pool.failures >= MAX_FAILURES and not next(pool.workers) then
    return give_up(pool, problem)
  end
  if pool.pausing then return end
  local function try_again()
    pool.pausing = false
    start_workers(pool)
  end
  clock.after(math.min(1, FIRST_PAUSE * 2 ^ (pool.failures - 1)), function()
    loop.ready(try_again)
  end)
  pool.pausing = true
end

-- A worker has ended: the job on its seat has failed.
local function ended(pool, it)
  if pool.workers[it.number] ~= it then return end  -- discarded
  pool.workers[it.number] = nil
  local job = ports[core.seat_job(it.seat) or 0]
  local why, name = it.failure, it.handle.name
  if job then
    why = why or { "the worker ended before the job was done" }
    fail(job, errors.RemoteError(why[1], why[2], name))
  elseif not it.ready then
    why = why or { "the worker ended" }
    failed_to_start(pool, function()
      return errors.RemoteError("the pool's init failed: " .. why[1], why[2], name)
    end)
  end
  start_workers(pool)
  settle(pool)
end

-- What a worker tells: that it is ready; an uncaught error, {message, traceback};
-- and nil at its end.
local function hear(pool, it, what)
  if what == nil then
    ended(pool, it)
  elseif what == "ready" then
    it.ready, pool.failures = true, 0
  elseif it.ready and not core.seat_job(it.seat) then
    loop.unheard(errors.RemoteError(what[1], what[2], it.handle.name))
  else
    it.failure = what           -- of its job, or of `init`
  end
end

-- False if there is no isolate to be had.
local function start_worker(pool)
  local number = pool.started + 1
  pool.started = number
  local it = { number = number, seat = core.seat() }
  local weak = setmetatable({ pool = pool }, { __mode = "v" })  -- idle workers hold no pool
  it.notice = private_port.new(function(notice, _, what)
    if what == nil then notice:close() end
    if weak.pool then hear(weak.pool, it, what) end
  end)
  it.notice:unref()
  local tell, opts = it.notice.send_port, pool.options
  local ok, iso = pcall(spawn.spawn, worker.live, {
    queue = pool.queue, seat = it.seat, notice = tell, init = pool.init,
    recycle_after = opts.recycle_after,
  }, {
    name = pool.name .. " " .. number, memory_limit = opts.memory_limit, grace = opts.grace,
    on_exit = tell, on_error = tell,
  })
  core.check()
  if not ok then
    it.notice:close()
    failed_to_start(pool, function() return iso end)
    return false
  end
  it.handle = iso
  pool.workers[number] = it
  return true
end

-- As many as there is work for.
function start_workers(pool)
  if pool.pausing or pool.broken then return end
  local live = 0
  for _ in pairs(pool.workers) do live = live + 1 end
  while live < pool.size and live < pool.outstanding and start_worker(pool) do
    live = live + 1
  end
end

------------------------------------------------------------------------------
-- What users call

local function check_self(self, class, name, level)
  core.check()
  if getmetatable(self) ~= class then
    errors.bad_self(string.sub(class.__name, 9), self, name, level or 3)
  end
end

local function check_open(self, class, name)
  check_self(self, class, name, 4)
  if (self.pool or self).closed then error("this pool is closed", 3) end
end

-- The job of a Future: what is the same for all of them is made once.
local function complete(job, ok, ...)
  local result = job.result
  result.on_cancel, result.on_ask = nil, nil
  if ok then future.complete(result, ...) else future.fail(result, (...)) end
end

local function cancel(result) result.job:cancel() end

local function ask(result) return result.job:ask() end

local function run(pool, how, fn, ...)
  local result = future.new()
  local job = pool:submit(how, complete, nil, fn, ...)
  job.result, result.job = result, job
  result.on_cancel, result.on_ask = cancel, ask
  return result
end

--- Calls `fn(...)` in a worker: a Future of all results. What cannot be sent
-- raises. Waits, as `await` does, while a bounded queue is full.
---@param fn function
---@param ... any
---@return isolate.Future
function Pool:run(fn, ...)
  check_open(self, Pool, "run")
  errors.check_function(fn, 1, "run")
  return (run(self, {}, fn, ...))
end

--- Calls `fn(item)` for each item, and waits for all: a list of the first results,
-- in order. The first error stops the rest and is raised, with `item` and `index`;
-- with `errors = "collect"` there is a second list, of {index=, item=, error=}.
---@param fn function
---@param list any[]
---@param opts {chunk: integer?, errors: string?, progress: boolean|function|nil}?
---@return any[] results, table[]? failures
function Pool:map(fn, list, opts)
  check_open(self, Pool, "map")
  return map.map(self, {}, fn, list, opts)
end

--- Calls `fn(item)` for each item that `iterator()` gives until nil, lazily: for
-- `for index, result… in`. At most `ahead` items are under way (default: four for each
-- worker). With `ordered = false` they come as they end. An error is raised, and stops
-- the rest; with `errors = "collect"` it is given as `index, nil, error`.
---@param fn function
---@param iterator function
---@param opts {ahead: integer?, ordered: boolean?, errors: string?}?
---@return function
function Pool:imap(fn, iterator, opts)
  check_open(self, Pool, "imap")
  return map.imap(self, {}, fn, iterator, opts)
end

-- A pool with options for its jobs.
local With = { __name = "isolate.Pool with options", __transfer = false }
With.__index = With

local job_checks = {
  priority = options.number("integer of 32 bits", function(n)
    return math.type(n) == "integer" and n > -2^31 and n < 2^31
  end),
  timeout = options.number("positive number of seconds", function(n) return n > 0 end),
  on_progress = options.callback,
}

--- The pool with options for jobs: `pool:with{priority = 1, timeout = 5}:run(fn)`.
-- The higher `priority` goes first (default 0); a job that runs longer than
-- `timeout` seconds is killed and fails with a TimeoutError; `on_progress(done,
-- total, text)` hears what the job tells by `Isolate.progress`.
---@param how {priority: integer?, timeout: number?, on_progress: function?}
---@return isolate.Pool  with `run`, `map` and `imap` only
function Pool:with(how)
  check_open(self, Pool, "with")
  return setmetatable({ pool = self, how = options.check(how, 1, "with", job_checks, 2) }, With)
end

function With:run(fn, ...)
  check_open(self, With, "run")
  errors.check_function(fn, 1, "run")
  return (run(self.pool, self.how, fn, ...))
end

function With:map(fn, list, opts)
  check_open(self, With, "map")
  return map.map(self.pool, self.how, fn, list, opts)
end

function With:imap(fn, iterator, opts)
  check_open(self, With, "imap")
  return map.imap(self.pool, self.how, fn, iterator, opts)
end

-- {p50 =, p90 =, p99 =, max =} in seconds; empty without samples.
local function percentiles(samples)
  local sorted = table.move(samples, 1, math.min(samples.n, SAMPLES), 1, {})
  table.sort(sorted)
  local function at(share) return sorted[math.max(1, math.ceil(share * #sorted))] end
  return { p50 = at(0.5), p90 = at(0.9), p99 = at(0.99), max = at(1) }
end

--- How it goes: how many jobs are `queued` and `running`, and were `done`, `failed`
-- and `cancelled`; how long the last ones have been `waiting_time` and
-- `running_time` ({p50=, p90=, p99=, max=}, seconds); `workers`, an array of
-- {name=, memory=, busy=}.
---@return table
function Pool:stats()
  check_self(self, Pool, "stats")
  local workers = {}
  for _, it in pairs(self.workers) do
    workers[#workers + 1] = { name = it.handle.name, memory = core.memory(it.handle.control_port),
      busy = core.seat_job(it.seat) ~= nil }
  end
  table.sort(workers, function(a, b) return a.name < b.name end)
  local queued = (core.channel_count(self.queue))
  return {
    size = self.size, workers = workers,
    queued = queued, running = self.outstanding - queued,
    done = self.done, failed = self.failed, cancelled = self.cancelled,
    waiting_time = percentiles(self.waiting_times), running_time = percentiles(self.running_times),
  }
end

local function drop_job(job)
  if not forget(job) then return end
  job.pool.cancelled = job.pool.cancelled + 1
  job:ended(false, errors.CancelledError "the pool was closed")
end

-- What has not begun never will, in workers that are not ready neither.
local function drop(pool)
  for _, id in ipairs(core.channel_remove(pool.queue)) do
    if ports[id] then drop_job(ports[id]) end
  end
  for _, it in pairs(pool.workers) do
    if not it.ready and not core.seat_job(it.seat) then discard(pool, it) end
  end
  settle(pool)
end

-- What runs is of no use either.
local function abort(pool)
  each_job(pool, drop_job)
  for _, it in pairs(pool.workers) do
    core.seat_doom(it.seat, core.seat_job(it.seat) or 0)
    discard(pool, it)
  end
  core.channel_remove(pool.queue)
  settle(pool)
end

local function close(pool)
  if pool.closed then return end
  pool.closed = true
  pool.finished = future.new()
  core.alive(1)
  core.channel_close(pool.queue)
  settle(pool)
end

--- Waits, as `await` does, until all jobs have ended, and ends the workers. With
-- `drop` those that have not begun fail with a CancelledError.
---@param opts {drop: boolean?}?
function Pool:close(opts)
  check_self(self, Pool, "close")
  opts = options.check(opts, 1, "close", { drop = options.flag }, 2)
  close(self)
  if opts.drop then drop(self) end
  self.finished:await()
end

-- At the end of a block; an error does not wait for what runs.
function Pool:__close(problem)
  close(self)
  if problem ~= nil then abort(self) end
  self.finished:await()
end

-- Nobody can use it any more: its workers end, now or after the job they have.
function Pool:__gc()
  pcall(core.channel_close, self.queue)
  pcall(core.channel_remove, self.queue)
end

local checks = {
  size = options.count, name = options.text, init = options.callback, queue = options.count,
  recycle_after = options.count, memory_limit = options.bytes, grace = options.seconds,
}

---@class isolate.PoolOptions
---@field size integer?           workers (default `Isolate.processors()`)
---@field name string?            of the workers, each with its number behind it (default "pool")
---@field init function?          called once in each worker
---@field queue integer?          jobs that may wait; `run` waits when there are more (default: any number)
---@field recycle_after integer?  jobs after which a worker is replaced (default: none)
---@field memory_limit number?    bytes of each worker's heap (default: none)
---@field grace number?           seconds for `__close` handlers when a worker is killed (default 0.05)

--- A pool of isolates, which start when there is work for them.
---@param opts isolate.PoolOptions?
---@return isolate.Pool
local function new(opts)
  opts = options.check(opts, 1, "Pool", checks, 2)
  local init = opts.init and request.pack(2, "call", nil, opts.init)
  return setmetatable({
    options = opts, init = init,
    size = opts.size or core.processors(),
    name = opts.name or "pool",
    queue = core.channel(opts.queue or 0),
    workers = {},               -- number -> {number, seat, notice, handle}
    started = 0,                -- how many workers ever
    failures = 0,               -- to start one, in a row
    outstanding = 0,            -- jobs that have not ended
    done = 0, failed = 0, cancelled = 0,
    waiting_times = { n = 0 }, running_times = { n = 0 },
  }, Pool)
end

return setmetatable({ new = new }, { __call = function(_, ...) return new(...) end })
