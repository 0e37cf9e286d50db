--- The event loop of an isolate, and its tasks.
--
-- A task is a coroutine that the loop resumes. What waits in a task suspends
-- only that; what waits anywhere else (the main chunk, a coroutine of the
-- user's, a C function's callback) runs the loop until it is done: so the loop
-- may be running several times, one inside the other.
--
-- One turn of the loop: all that is ready; one message; the timers that are
-- due. Ready things (the continuations of what was waited for) run before the
-- next message or timer.

local table, require = table, require
local core = require "isolate.core"

local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local running, isyieldable, close = coroutine.running, coroutine.isyieldable, coroutine.close
local traceback = debug.traceback
local take, next_message, now, pending = core.take, core.next, core.now, core.pending
local alive, pull = core.alive, core.pull
local check, forked = core.check, core.forked
local unbuilt = core.unbuilt  -- now: there is no memory when it is needed
local ports, tasks = core.ports, core.tasks

local loop = {
  waiting = 0,    -- callbacks of Futures, which only a loop can serve
  ran = false,    -- did a loop ever run?
  timers = { n = 0, made = 0 },  -- who adds one loads clock.lua
}

local timers = loop.timers
local depth = 0                      -- how many runs are inside each other
local awaited = {}                   -- what each of them waits for
local stretch = 0                    -- number of the current stretch of messages
local ready, first, last = {}, 1, 0  -- a queue of tasks and functions
local direct                         -- a task that the loop goes on with, in nobody's middle
local idle, nidle = {}, 0            -- coroutines whose task has ended
local on_error = setmetatable({}, { __mode = "k" })  -- task that waits -> what its error is told
local failures = {}                  -- uncaught errors, for the outermost run

local WAIT, IDLE = {}, {}            -- what a task's coroutine yields
local MAX_IDLE = 64

------------------------------------------------------------------------------
-- Tasks

-- The body of a task's coroutine: one task after the other.
local function work(fn, ...)
  fn(...)
  return work(yield(IDLE))
end

-- A task has failed, or yielded what it must not.
local function fail(co, failed, ok, what)
  if not forked() then check() end  -- a kill is not an error
  tasks[co] = nil
  if ok then
    what = "coroutine.yield in a task: a task waits with await, receive or sleep"
  end
  local traced, trace = pcall(traceback, co)
  if not traced then trace = "" end  -- no memory for it: the error is told still
  local origin = loop.rethrown  -- where it was before an await raised it here
  loop.rethrown = nil
  if origin and rawequal(origin.failure, what) and origin.traceback then
    trace = origin.traceback .. "\n" .. trace
  end
  close(co)
  if not forked() then check() end
  failed(what, trace, co)
end

-- A task's coroutine came back: it has ended, waits, or has failed.
local function after(co, failed, ok, what)
  if what == IDLE then
    if nidle < MAX_IDLE then
      idle[nidle + 1] = co
      nidle = nidle + 1
    else
      close(co)
    end
  elseif what == WAIT then
    on_error[co] = failed
  else
    fail(co, failed, ok, what)
  end
end

--- Runs `fn(...)` as a task now, up to its first wait. If it fails,
-- `failed(error, traceback, coroutine)` is called.
function loop.start(failed, fn, ...)
  local co
  if nidle > 0 then
    co = idle[nidle]
    idle[nidle] = nil
    nidle = nidle - 1
  else
    co = create(work)
    tasks[co] = true
  end
  return after(co, failed, resume(co, fn, ...))
end

--- Takes over a task that C has begun and `resume` has just left, with `ok` and
-- `what`. When it returns, `returned(...)` gets its results, in the task.
function loop.adopt(co, failed, returned, ok, what)
  core.at_return(function(...)
    returned(...)
    return work(yield(IDLE))
  end)
  return after(co, failed, ok, what)
end

--- Is the running code a task that may be suspended?
function loop.in_task()
  return tasks[running()] ~= nil and isyieldable()
end

--- Puts a function at the end of what is ready; it must not raise.
function loop.ready(fn)
  ready[last + 1] = fn
  last = last + 1
  stretch = stretch + 1
end

--- Puts one before all that is ready.
function loop.first(fn)
  first = first - 1
  ready[first] = fn
end

-- True if there was something.
local function run_ready()
  if first > last then return false end
  while first <= last do
    local it = ready[first]
    ready[first] = nil
    first = first + 1
    if type(it) == "thread" then
      direct = it
      after(it, on_error[it], resume(it))
      direct = nil
    else
      it()
    end
  end
  return true
end

------------------------------------------------------------------------------
-- Errors that nobody caught

--- An error left a handler, a timer's function or a spawned function. In a
-- main isolate it is raised from the outermost run. In a spawned one it goes to
-- the error listeners or stderr; then, if such errors are fatal, it is the end.
function loop.uncaught(value, trace)
  if core.main then
    failures[#failures + 1] = { value = value }
    stretch = stretch + 1
  else
    core.report(require "isolate.errors".describe(value, trace))
    if core.fatal() then core.exit(true) end
  end
end

local function raise_failure()
  if depth == 1 and failures[1] then
    error(table.remove(failures, 1).value, 0)
  end
end

------------------------------------------------------------------------------
-- Turns

-- A message goes to its port.
local function deliver(id, ok, ...)
  local port = ports[id]
  if port then port:deliver(ok, ...) end
end

-- A stretch: messages that follow each other, to ports with handlers. One task
-- calls all the handlers, for to change tasks takes longer than many a handler.
-- It ends when anything else is to be done: when something is ready, someone
-- has what it waited for, a handler waits, or a timer is due.
local function handle_stretch()
  stretch = stretch + 1
  local mine = stretch
  repeat
    local message, handler, port, ok = next_message()
    if not handler then
      if port then deliver(port, ok, message) end
      return
    end
    handler(message)
  until stretch > mine or awaited[depth].done or timers.n > 0 and timers[1].deadline <= now()
end

-- A stretch has failed: a handler; or there was no memory for a message, which
-- is tried again (nothing is lost, and its port is told if that fails, too).
local function stretch_failed(what, trace, co)
  local port, ok, message = unbuilt(co)
  if port then deliver(port, ok, message) else loop.uncaught(what, trace) end
end

-- Does what `take` returned. True for a message, false for a slice of one, nil
-- for nothing.
local function dispatch(what, ...)
  if what == true then
    loop.start(stretch_failed, handle_stretch)
    stretch = stretch + 1
  elseif what then
    deliver(what, ...)
  else
    return what
  end
  return true
end

-- One turn, which may wait. False if nothing is left that could happen.
local function turn()
  if run_ready() then return true end
  local ended = alive() == 0
  if ended and not pending() then
    core.hold()  -- a paused isolate lives
    if not pending() then return false end
  end
  -- nothing alive: what is pending may be control messages only, so no waiting
  dispatch(take(ended and 0 or timers.n > 0 and timers[1].deadline or nil))
  if timers.n > 0 then
    run_ready()
    loop.fire()
  end
  return true
end

--- Takes a message for port `id`, if nothing else is to be done before: true and it;
-- or false and an error. Else nothing. It is waited for, as long as that lasts, unless
-- `deadline` is 0.
function loop.pull(id, deadline)
  local co, waiter = running(), awaited[depth]
  if first <= last or failures[1] then return end
  if timers.n > 0 then
    local due = timers[1].deadline
    if due <= now() then return end
    deadline = deadline or due
  end
  if co == direct and waiter and not (waiter.done or waiter.step) or depth == 0 and not tasks[co] then
    loop.ran = true
    return pull(id, deadline)
  end
end

local leave = setmetatable({}, { __close = function()
  awaited[depth] = nil
  depth = depth - 1
end })

-- Begins a run, which ends with the to-be-closed value that it returns.
local function enter(waiter)
  check()  -- before anything that is ready runs
  loop.ran = true
  awaited[depth + 1] = waiter
  depth = depth + 1
  return leave
end

--- Runs the loop until `waiter.done`, or until nothing is left that could
-- happen. Returns `waiter.done`.
function loop.run(waiter)
  local _ <close> = enter(waiter)
  raise_failure()
  while not waiter.done and turn() do
    if failures[1] then raise_failure() end
  end
  raise_failure()
  return waiter.done
end

--- The work has run out (future.lua has something to do then).
function loop.out_of_work() end

--- Is something ready?
function loop.has_ready() return first <= last end

--- Does the loop run? That of a spawned isolate does from its start, in C at first (boot.c).
function loop.running() return not core.main or depth > 0 or tasks[running()] ~= nil end

-- For host.lua.
loop.enter, loop.raise_failure = enter, raise_failure
loop.run_ready, loop.dispatch = run_ready, dispatch

------------------------------------------------------------------------------
-- Waiting

--- A new waiter. What is set later is there from the start: waking it needs no
-- memory of its own.
function loop.waiter() return { done = false, task = false, timed_out = false } end

local function wait(waiter)
  local co = running()
  if tasks[co] and isyieldable() then
    waiter.task = co
    while not waiter.done do yield(WAIT) end
    return true
  end
  return loop.run(waiter)
end

--- Waits until `waiter.done`, which `loop.wake(waiter)` sets, at most `timeout`
-- seconds (nil: for ever). False if nothing is left that could end the wait;
-- else see `waiter.timed_out`. `level` is that of the user's call, for an error;
-- 3 is the caller of the caller.
function loop.wait(waiter, timeout, level)
  if core.rebuilding() then
    error("a value that is being rebuilt may not wait", level or 3)
  end
  if not timeout then return wait(waiter) end
  local _ <close> = require "isolate.clock".after(timeout, function()
    waiter.timed_out = true
    loop.wake(waiter)
  end)
  return wait(waiter)
end

--- Lets whoever waits for `waiter` go on: soon, or `sync`: at once. If it raises
-- for lack of memory, `waiter` waits as before.
function loop.wake(waiter, sync)
  if waiter.done then return end
  stretch = stretch + 1
  local co = waiter.task
  if co and not sync then ready[last + 1] = co end
  waiter.done = true
  if not co then return end
  if sync then after(co, on_error[co], resume(co)) else last = last + 1 end
end

-- What it hands messages to is there before the first one: then there may be no memory.
core.loop(loop)
require "isolate.port"

return loop
