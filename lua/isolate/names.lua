--- Names of ports, known to all isolates of the process: Flutter's IsolateNameServer.

local core = require "isolate.core"
local errors = require "isolate.errors"

local check_string = errors.check_string

local names = {}

local PREFIX = "port "          -- services and broadcasts have names of their own

--- Gives a port a name, which is free again when the port has closed.
---@param name string
---@param send_port isolate.SendPort
---@return boolean registered  false if another port has it
function names.register(name, send_port)
  check_string(name, 1, "register")
  if core.kind(send_port) ~= "SendPort" then
    errors.expected("SendPort", send_port, 2, "register", 2)
  end
  return core.name_add(PREFIX .. name, send_port, true)
end

--- The port of that name, or nil.
---@param name string
---@return isolate.SendPort?
function names.lookup(name)
  check_string(name, 1, "lookup")
  return (core.name_find(PREFIX .. name))
end

--- Takes a name from its port.
---@param name string
---@return boolean removed  false if no port had it
function names.remove(name)
  check_string(name, 1, "remove")
  return core.name_remove(PREFIX .. name)
end

return names
