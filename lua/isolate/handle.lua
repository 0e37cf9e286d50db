--- Handles: what one isolate knows of another, and may do with it.

local table, math = table, math
local core = require "isolate.core"
local errors = require "isolate.errors"
local loop = require "isolate.loop"
local options = require "isolate.options"
local private_port = require "isolate.private_port"

local expected = errors.expected

---@class isolate.Handle
---@field name string?
---@field control_port isolate.SendPort
---@field pause_capability isolate.Capability?
---@field terminate_capability isolate.Capability?
local Handle = { __name = "isolate.Handle" }

local handle = {
  Handle = Handle,
  immediate = 0,          -- priorities of kill and ping, with Dart's values
  before_next_event = 1,
}

local methods = {}

-- What people write who look for a function of the module.
local meant = {
  run = "Isolate.run(fn, ...)", compute = "Isolate.compute(fn, message)",
  spawn = "Isolate.spawn(fn, message)",
  exit = "Isolate.exit(), which ends the isolate that calls it; to end another, iso:kill()",
  sleep = "Isolate.sleep(seconds)", loop = "Isolate.loop()", step = "Isolate.step()",
  await = "iso:join(), which waits for its end; Isolate.run gives a Future",
  cancel = "iso:kill()", close = "iso:kill()",
  current = "Isolate.current", send = "a SendPort: port.send_port:send(message)",
}

function Handle.__index(_, key)
  local method = methods[key]
  if method == nil and meant[key] then
    error("a handle has no '" .. key .. "': do you mean " .. meant[key] .. "?", 2)
  end
  return method
end

function Handle.__eq(a, b)
  return getmetatable(a) == getmetatable(b)
    and a.control_port == b.control_port
    and a.pause_capability == b.pause_capability
    and a.terminate_capability == b.terminate_capability
end

function Handle:__tostring()
  return "isolate.Handle: " .. tostring(self.name)
end

-- Handles that live, by what they are made of: one isolate has one object for
-- each, so that they are equal keys of tables, too.
local known = setmetatable({}, { __mode = "v" })

local function key_of(control, pause, terminate)
  return table.concat({ tostring(control), tostring(pause), tostring(terminate) }, " ")
end

--- The handle made of these; `pause` and `terminate` may be nil.
function handle.make(control, pause, terminate)
  local key = key_of(control, pause, terminate)
  local self = known[key]
  if not self then
    self = setmetatable({
      name = core.name(control), control_port = control,
      pause_capability = pause, terminate_capability = terminate,
    }, Handle)
    known[key] = self
  end
  return self
end

function Handle.__transfer(self)
  return handle.make, self.control_port, self.pause_capability, self.terminate_capability
end

local function check_self(self, name)
  if getmetatable(self) ~= Handle then
    errors.bad_self("Handle", self, name, 3)
  end
end

local function check_port(value, i, name)
  if core.kind(value) ~= "SendPort" then
    expected("SendPort", value, i, name, 3)
  end
end

local function check_capability(value, i, name)
  if core.kind(value) ~= "Capability" then
    expected("Capability", value, i, name, 3)
  end
end

local function check_priority(value, i, name)
  if value ~= nil and value ~= handle.immediate and value ~= handle.before_next_event then
    error("bad argument #" .. i .. " to '" .. name
      .. "' (Isolate.immediate or Isolate.before_next_event expected, got "
      .. errors.show(value) .. ")", 3)
  end
end

local function is_capability(value) return core.kind(value) == "Capability" or "Capability" end

local rights = { pause_capability = is_capability, terminate_capability = is_capability }

--- A handle with the capabilities given; what it lacks one for is ignored.
---@param control_port isolate.SendPort
---@param capabilities {pause_capability: isolate.Capability?, terminate_capability: isolate.Capability?}?
---@return isolate.Handle
function handle.restricted(control_port, capabilities)
  check_port(control_port, 1, "handle")
  capabilities = options.check(capabilities, 2, "handle", rights, 2)
  return handle.make(control_port, capabilities.pause_capability,
    capabilities.terminate_capability)
end

--- Ends the isolate: `Isolate.immediate` in the middle of running code, or
-- `Isolate.before_next_event` (default) when it comes back to its loop.
---@param priority integer?
function methods:kill(priority)
  check_self(self, "kill")
  check_priority(priority, 1, "kill")
  core.kill(self.control_port, self.terminate_capability, priority == handle.immediate)
end

--- Holds the isolate: the event that runs is finished, then messages and timers
-- wait until each capability it was paused with is resumed. Needs the pause
-- capability. Returns `capability`, or a new one.
---@param capability isolate.Capability?
---@return isolate.Capability
function methods:pause(capability)
  check_self(self, "pause")
  if capability == nil then
    capability = core.capability()
  else
    check_capability(capability, 1, "pause")
  end
  core.pause(self.control_port, self.pause_capability, capability)
  return capability
end

--- Takes a pause back; a capability that holds nothing has no effect.
---@param capability isolate.Capability
function methods:resume(capability)
  check_self(self, "resume")
  check_capability(capability, 1, "resume")
  core.resume(self.control_port, capability)
end

--- The isolate, if it lives, sends `response` to `listener` when it comes to its
-- control messages, which overtake the normal ones; also while it is paused.
---@param listener isolate.SendPort
---@param response any
---@param priority integer?  has no effect
function methods:ping(listener, response, priority)
  check_self(self, "ping")
  check_port(listener, 1, "ping")
  check_priority(priority, 3, "ping")
  core.ping(self.control_port, listener, response)
end

--- `response` is sent to `listener` when the isolate has ended, last of all. The
-- last response of a port counts. Of an isolate that has ended, nothing comes.
---@param listener isolate.SendPort
---@param response any
function methods:add_on_exit_listener(listener, response)
  check_self(self, "add_on_exit_listener")
  check_port(listener, 1, "add_on_exit_listener")
  core.on_exit(self.control_port, listener, response)
end

--- Nothing is sent there any more; a port that did not listen has no effect.
---@param listener isolate.SendPort
function methods:remove_on_exit_listener(listener)
  check_self(self, "remove_on_exit_listener")
  check_port(listener, 1, "remove_on_exit_listener")
  core.off_exit(self.control_port, listener)
end

--- Each uncaught error is sent to `listener` as {message, traceback}, two strings.
---@param listener isolate.SendPort
function methods:add_error_listener(listener)
  check_self(self, "add_error_listener")
  check_port(listener, 1, "add_error_listener")
  core.on_error(self.control_port, listener)
end

--- Nothing is sent there any more; a port that did not listen has no effect.
---@param listener isolate.SendPort
function methods:remove_error_listener(listener)
  check_self(self, "remove_error_listener")
  check_port(listener, 1, "remove_error_listener")
  core.off_error(self.control_port, listener)
end

--- A stream of its uncaught errors from now on, as RemoteErrors, which ends when
-- the isolate does. Each call makes one.
---@return isolate.Stream
function methods:errors()
  check_self(self, "errors")
  local control, inbox = self.control_port, core.ReceivePort "errors"
  local errors_of
  errors_of = require "isolate.stream".derive(inbox, function(told)
    if told then return true, errors.RemoteError(told[1], told[2], self.name) end
    errors_of:close()
  end, function()
    core.off_error(control, inbox.send_port)
    core.off_exit(control, inbox.send_port)
  end)
  core.on_error(control, inbox.send_port)
  core.on_exit(control, inbox.send_port)
  if core.ended(control) then errors_of:close() end
  return errors_of
end

--- Do uncaught errors end the isolate? Needs the terminate capability.
---@param flag boolean
function methods:set_errors_fatal(flag)
  check_self(self, "set_errors_fatal")
  if type(flag) ~= "boolean" then
    expected("boolean", flag, 1, "set_errors_fatal", 2)
  end
  core.set_fatal(self.control_port, self.terminate_capability, flag)
end

--- Waits, as `await` does, until the isolate has ended, whatever the cause.
---@param timeout number?  seconds
---@return boolean? ended, string? why  true; or nil, "timeout"
function methods:join(timeout)
  check_self(self, "join")
  errors.check_number(timeout, 1, "join")
  if core.ended(self.control_port) then return true end
  local waiter = loop.waiter()
  local listener <close> = private_port.new(function() loop.wake(waiter) end)
  core.on_exit(self.control_port, listener.send_port)
  if core.ended(self.control_port) then return true end
  loop.wait(waiter, timeout)
  if not waiter.timed_out then return true end
  core.off_exit(self.control_port, listener.send_port)
  return nil, "timeout"
end

--- Chooses the signal that `kill` uses for isolates started from now on, in the
-- whole process; false: none, then a kill reaches code that waits in one of our
-- functions, or allocates. Returns what is chosen; raises for a signal that cannot be.
---@param signal integer|false|nil  nil: as before (at first SIGURG)
---@return integer|false
function handle.stop_signal(signal)
  if signal and math.type(signal) ~= "integer" then
    expected("number of a signal, or false", signal, 1, "stop_signal", 2)
  end
  local chosen = core.stop_signal(signal)
  if chosen == nil then
    error("bad argument #1 to 'stop_signal' (signal " .. signal .. " cannot be used)", 2)
  end
  return chosen
end

local control, pause, terminate = core.self()

--- The handle of the running isolate.
handle.current = handle.make(control, pause, terminate)

return handle
