--- Agents: state that lives in an isolate of its own, and is changed and read by
-- functions sent there, one after the other.

local select = select
local core = require "isolate.core"
local errors = require "isolate.errors"
local private_port = require "isolate.private_port"
local request = require "isolate.request"
local spawn = require "isolate.spawn"

------------------------------------------------------------------------------
-- In the agent's isolate

local remote = {}

-- The state, and why there is none.
local state, failure

local function keep(...)
  if select("#", ...) > 0 then state = ... end  -- nothing: it was changed in place
  return select(2, ...)
end

local actions = {}

function actions.update(fn, ...) return keep(fn(state, ...)) end

function actions.read(fn, ...)
  if fn == nil then return state end
  return fn(state, ...)
end

local function act(action, ...)
  if failure then error(failure.value, 0) end
  return actions[action](...)
end

-- The last state is the isolate's last message. If it cannot be sent, that is
-- the answer, and the agent goes on.
local function exit(reply)
  if failure then
    request.refuse(reply, failure.value, failure.traceback)
    core.exit()
  end
  local ok, why = pcall(core.last, reply, "result", true, state)
  core.check()
  if ok then core.exit() end
  request.refuse(reply, why)
end

--- The function of the agent's isolate. Requests wait in its control port from
-- the beginning.
function remote.live(parcel)
  local inbox = private_port.own()
  local ok, value = xpcall(function()
    local _, init = core.unpack(parcel)
    return init()
  end, function(problem)
    failure = { value = problem, traceback = debug.traceback(nil, 2) }
  end)
  core.check()
  if ok then state = value end
  for _, message in inbox:messages() do
    if message.exit then
      exit(message.reply)
    else
      request.answer(message, act)
    end
  end
end

------------------------------------------------------------------------------
-- What users have

---@class isolate.Agent
local Agent = { __name = "isolate.Agent" }
Agent.__index = Agent

-- The agent that lives in the isolate of that control port.
function remote.at(control_port)
  return setmetatable({ control_port = control_port, last = false }, Agent)
end

function Agent:__transfer() return remote.at, self.control_port end

function Agent.__eq(a, b)
  return getmetatable(a) == getmetatable(b) and a.control_port == b.control_port
end

local LOST = "the agent has ended"

local function check_self(self, name)
  if getmetatable(self) ~= Agent then errors.bad_self("Agent", self, name, 3) end
  local last = self.last        -- what `exit` returned
  if last and not (last.done and not last.ok) then error("this agent has exited", 3) end
end

--- Makes `fn(state, ...)` the state, once what was asked before is done. A `fn`
-- that returns nothing has changed the state in place. The Future's values are
-- what `fn` returned after the state. Raises for what cannot be sent, and after `exit`.
---@param fn function
---@param ... any
---@return isolate.Future
function Agent:update(fn, ...)
  check_self(self, "update")
  errors.check_function(fn, 1, "update")
  local parcel = request.pack(2, "call", "update", fn, ...)
  return request.call(self.control_port, { parcel = parcel }, LOST)
end

--- A Future of what `fn(state, ...)` returns; of the state itself without `fn`. Raises
-- as `update` does.
---@param fn function?
---@param ... any
---@return isolate.Future
function Agent:read(fn, ...)
  check_self(self, "read")
  errors.check_function(fn, 1, "read", true)
  local parcel = request.pack(2, "call", "read", fn, ...)
  return request.call(self.control_port, { parcel = parcel }, LOST)
end

--- Ends the agent once what was asked before is done: a Future of its last
-- state. If that cannot be sent, the Future fails and the agent goes on.
---@return isolate.Future
function Agent:exit()
  check_self(self, "exit")
  self.last = request.call(self.control_port, { exit = true }, LOST)
  return self.last
end

--- An agent whose first state is `init()`, called in an isolate of its own. Raises for
-- what cannot be sent, and an IsolateSpawnError where there is no thread to be had.
---@param init function
---@return isolate.Agent
local function new(init)
  errors.check_function(init, 1, "Agent")
  local parcel = request.pack(2, "call", nil, init)
  local self = remote.at(false)  -- first: once it lives, nothing may fail
  local ok, iso = pcall(spawn.spawn, remote.live, parcel, { name = spawn.name_of(init) })
  if not ok then error(iso, 0) end
  self.control_port = iso.control_port
  return self
end

return setmetatable(remote, { __call = function(_, ...) return new(...) end })
