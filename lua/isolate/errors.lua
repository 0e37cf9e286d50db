--- The errors that this library makes, and those that crossed between isolates.
-- All are tables with `name` and `message`; the classes can be called to make
-- one, and `getmetatable(e) == Isolate.TimeoutError` tells them apart.

local string = string

local errors = {}

---@class isolate.Error
---@field name string     the name of its class
---@field message string  what went wrong

-- Makes a class of errors; `describe(e)` is its tostring.
local function class(name, make, describe)
  local Class = { __name = "isolate." .. name, __tostring = describe }
  Class.__index = Class
  setmetatable(Class, {
    __name = "isolate.Class",
    __call = function(_, ...)
      local e = make(...)
      e.name = name
      return setmetatable(e, Class)
    end,
  })
  errors[name] = Class
end

local function plain(message) return { message = message } end

local function name_and_message(e)
  return tostring(e.name) .. ": " .. tostring(e.message)
end

class("TimeoutError", plain, name_and_message)
class("CancelledError", plain, name_and_message)
class("IsolateSpawnError", plain, name_and_message)
class("ClosedError", plain, name_and_message)

---@class isolate.RemoteError : isolate.Error
---@field traceback string  where it happened, over there
---@field isolate string?   the name of the isolate where it happened
---@field value any         the error value itself, where it could be sent

-- RemoteError(message, traceback?, isolate?, value?): an error that crossed.
class("RemoteError", function(message, traceback, isolate, value)
  return { message = message, traceback = traceback or "", isolate = isolate, value = value }
end, function(e)
  if e.traceback == nil or e.traceback == "" then return tostring(e.message) end
  return tostring(e.message) .. "\n" .. e.traceback
end)

--- What an error value says: its `message` where it is an error of ours, else
-- its tostring (which may be broken: then its type).
---@param value any
---@return string
function errors.message(value)
  if type(value) == "table" then
    local class_of = getmetatable(value)
    if class_of == errors.RemoteError and type(value.message) == "string" then
      return value.message
    end
  end
  local ok, text = pcall(tostring, value)
  if ok then return text end
  return "(error object is a " .. type(value) .. " value)"
end

--- What is told of an error elsewhere: its message and its traceback, with that
-- of the isolate where it began.
---@return string message, string traceback
function errors.describe(value, traceback)
  local trace = traceback or ""
  if getmetatable(value) == errors.RemoteError and type(value.traceback) == "string" then
    trace = value.traceback .. (trace ~= "" and "\n" .. trace or "")
  end
  return errors.message(value), trace
end

--- Raises what the core raised; a message of its own gets the place of the call.
function errors.rethrow(value, level)
  local ours = type(value) == "string" and (string.find(value, "^cannot send ")
    or string.find(value, "^bad argument "))
  error(value, ours and level or 0)
end

--- Raises Lua's own error for an argument of the wrong type; `level` is counted
-- from the caller, as that of `error`.
function errors.expected(what, value, i, name, level)
  error("bad argument #" .. i .. " to '" .. name .. "' (" .. what .. " expected, got "
    .. type(value) .. ")", level + 1)
end

return errors
