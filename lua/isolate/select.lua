--- Waiting on several ports and channels at once.

local math = math
local core = require "isolate.core"
local channel = require "isolate.channel"
local errors = require "isolate.errors"
local loop = require "isolate.loop"

local now = core.now
local ReceivePort = getmetatable(core.receive_port())

-- To be closed: what was registered for one wait.
local Registered = {}

function Registered:__close()
  for _, it in ipairs(self) do getmetatable(it).__close(it) end
end

local function check(list)
  if type(list) ~= "table" then errors.expected("table", list, 1, "select", 3) end
  for i, it in ipairs(list) do
    if getmetatable(it) ~= channel.Channel and getmetatable(it) ~= ReceivePort then
      error("bad argument #1 to 'select' (a ReceivePort or Channel expected at [" .. i
        .. "], got " .. type(it) .. ")", 3)
    elseif it.claimed then
      error("bad argument #1 to 'select' (somebody listens to the port at [" .. i
        .. "] already)", 3)
    end
  end
  if #list == 0 then error("bad argument #1 to 'select' (an empty list)", 3) end
end

-- true and a message; or false, is it closed?
local function try(it)
  if getmetatable(it) == channel.Channel then return channel.try(it.raw) end
  return it:try()
end

-- Wakes the waiter when there is something: a to-be-closed value, or nil if there
-- is now.
local function register(it, waiter)
  if getmetatable(it) == channel.Channel then
    return channel.register(it.raw, waiter)
  end
  return it:register(waiter)
end

--- Waits, as `await` does, until one of the ports and channels has a message:
-- returns that one, and its message. The first in the list goes first. Those that
-- are closed are left out.
---@param list (isolate.ReceivePort | isolate.Channel)[]
---@param timeout number?  seconds
---@return any one, any message  or nil, "timeout"; or nil, "closed" (all of them)
return function(list, timeout)
  core.check()
  check(list)
  errors.check_number(timeout, 2, "select")
  local deadline = timeout and now() + timeout
  while true do
    local open = {}
    for _, it in ipairs(list) do
      local got, message = try(it)
      if got then return it, message end
      if not message then open[#open + 1] = it end
    end
    if not open[1] then return nil, "closed" end
    local left = deadline and math.max(0, deadline - now())
    if left == 0 then return nil, "timeout" end
    local waiter <close> = channel.waiter()
    local registered <close> = setmetatable({}, Registered)
    for _, it in ipairs(open) do
      registered[#registered + 1] = register(it, waiter)
    end
    if #registered == #open then loop.wait(waiter, left) end
  end
end
