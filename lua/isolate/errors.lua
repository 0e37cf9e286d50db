--- The errors that this library makes, and those that crossed between isolates.
-- All are tables with `name` and `message`; the classes can be called to make
-- one, and `getmetatable(e) == Isolate.TimeoutError` tells them apart.

local string, debug = string, debug

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
  return errors.text(e.name) .. ": " .. errors.text(e.message)
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
  local traceback = errors.traceback(e)
  if traceback == "" then return errors.text(e.message) end
  return errors.text(e.message) .. "\n" .. traceback
end)

--- The traceback of a RemoteError; its fields are the user's, too.
---@return string
function errors.traceback(e)
  return type(e.traceback) == "string" and e.traceback or ""
end

--- The tostring of any value; one that is broken gives its type.
---@return string
function errors.text(value)
  local ok, text = pcall(tostring, value)
  if ok then return text end
  return "(error object is a " .. type(value) .. " value)"
end

--- What an error value says: its `message` where it is an error of ours, else
-- its text.
---@param value any
---@return string
function errors.message(value)
  if type(value) == "table" then
    local class_of = getmetatable(value)
    if class_of == errors.RemoteError and type(value.message) == "string" then
      return value.message
    end
  end
  return errors.text(value)
end

--- What is told of an error elsewhere: its message and its traceback, with that
-- of the isolate where it began.
---@return string message, string traceback
function errors.describe(value, traceback)
  local trace = traceback or ""
  if getmetatable(value) == errors.RemoteError then
    trace = errors.traceback(value) .. (trace ~= "" and "\n" .. trace or "")
  end
  return errors.message(value), trace
end

--- The error of an answer that came, and could not be built.
function errors.unbuilt_answer(value, isolate)
  return errors.RemoteError("the answer could not be received: " .. errors.message(value), "",
    isolate)
end

--- Raises what the core raised; a message of its own gets the place of the call.
function errors.rethrow(value, level)
  local ours = type(value) == "string" and (string.find(value, "^cannot send ")
    or string.find(value, "^bad argument "))
  error(value, ours and level or 0)
end

------------------------------------------------------------------------------
-- Wrong arguments
--
-- One rule, for functions and methods: the errors are Lua's own, and have the
-- place of the user's call (`level` is counted from the caller, as that of
-- `error`). The arguments of a method are counted without its object; a wrong
-- object, as of a dot in place of the colon, is a "bad self".

--- What a value is called: its class if that has a name, else its type.
function errors.kind(value)
  local meta = debug.getmetatable(value)
  local name = meta and rawget(meta, "__name")
  if type(name) ~= "string" then return type(value) end
  return (string.gsub(name, "^isolate%.", ""))
end

local kind = errors.kind

--- A value itself where it is short and calls no code of the user's; else its kind.
function errors.show(value)
  local basic = type(value)
  if basic == "string" or basic == "number" or basic == "boolean" then return tostring(value) end
  return kind(value)
end

--- An argument of the wrong type.
function errors.expected(what, value, i, name, level)
  local advice = ""
  if what == "function" and value == nil then
    advice = "; give the function itself, not what it returns"
  end
  error("bad argument #" .. i .. " to '" .. name .. "' (" .. what .. " expected, got "
    .. kind(value) .. ")" .. advice, level + 1)
end

--- Raises unless it is a string, or nil where that is fine.
function errors.check_string(value, i, name, optional)
  if type(value) == "string" or optional and value == nil then return end
  errors.expected("string", value, i, name, 3)
end

--- Raises unless it is a number (not nan), or nil where that is fine.
function errors.check_number(value, i, name, required)
  if value == nil and not required then return end
  if type(value) ~= "number" then errors.expected("number", value, i, name, 3) end
  if value ~= value then
    error("bad argument #" .. i .. " to '" .. name .. "' (number expected, got nan)", 3)
  end
end

--- Raises unless it can be called, or is nil where that is fine.
function errors.check_function(value, i, name, optional, level)
  if type(value) == "function" or optional and value == nil then return end
  local meta = debug.getmetatable(value)
  if meta and rawget(meta, "__call") then return end
  errors.expected("function", value, i, name, level or 3)
end

--- A method called on what is not of its class.
function errors.bad_self(what, self, name, level)
  error("calling '" .. name .. "' on bad self (" .. what .. " expected, got "
    .. kind(self) .. ")", level + 1)
end

return errors
