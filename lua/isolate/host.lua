--- The loop in the hands of others: of a program that lets it run, and of a host
-- that has a loop of its own.

local math = math
local core = require "isolate.core"
local errors = require "isolate.errors"
local loop = require "isolate.loop"

local host = {}

local timers = loop.timers

local function first_deadline() return timers[1] and timers[1].deadline end

-- The earlier of two deadlines; nil is never.
local function earlier(a, b)
  if a and b then return a < b and a or b end
  return a or b
end

local function check_not_running(name)
  if loop.running() then
    error("Isolate." .. name .. ": the loop is running already", 3)
  end
end

--- Runs until nothing is left alive: no open port, no active timer, no wait
-- that another isolate or the clock could end. Raises the uncaught error of a
-- handler or a timer, and in a task: the loop is running already.
function host.loop()
  check_not_running "loop"
  loop.run {}
  loop.out_of_work()
end

--- For a host's frame loop: waits at most `timeout` seconds (default 0),
-- handles what was waiting when it was called, and of a large message one
-- slice. Returns true if it did something.
---@param timeout number?  seconds
---@return boolean
function host.step(timeout)
  check_not_running "step"
  errors.check_number(timeout, 1, "step")
  local _ <close> = loop.enter { step = true }  -- nobody pulls in it: a step ends
  loop.raise_failure()
  local did = loop.run_ready()
  local limit = not did and timeout and timeout > 0 and core.now() + timeout or 0
  local messages = core.queued()
  repeat
    local got = loop.dispatch(core.take(earlier(limit, first_deadline()), true))
    if got ~= nil then did, limit = true, 0 end
    messages = messages - 1
    loop.run_ready()
    local more = got and messages > 0
    if not more then did = timers.n > 0 and loop.fire() or did end
  until not more and (did or core.now() >= limit)
  loop.raise_failure()
  return did
end

--- Seconds until the next timer is due or the next slice can be built; nil for
-- none. With `Isolate.fd()`, for a host that waits in poll.
---@return number?
function host.timeout()
  if loop.has_ready() or core.slicing() then return 0 end
  local deadline = first_deadline()
  if deadline then return math.max(0, deadline - core.now()) end
end

--- Did something wait for a loop that never ran?
---@return boolean
function host.forgotten()
  if loop.ran then return false end
  for _, port in pairs(core.ports) do
    if rawget(port, "on_message") or rawget(port, "claimed") then return true end
  end
  return loop.waiting > 0 or timers.n > 0
end

return host
