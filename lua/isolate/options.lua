--- Tables of options: checked as a whole, before anything is done.

local math = math
local errors = require "isolate.errors"

local options = {}

--- A plain copy of the table `opts`, argument `i` of the function called `name`;
-- fields may come from its metatable. `checkers` has a function for each option
-- that there is: it returns true, or what was expected and, if it is not the kind
-- of value, what it got. `level` is counted from the caller, as that of `error`.
function options.check(opts, i, name, checkers, level)
  if opts == nil then return {} end
  if type(opts) ~= "table" then errors.expected("table", opts, i, name, level + 1) end
  local function bad(why)
    error("bad argument #" .. i .. " to '" .. name .. "' (" .. why .. ")", level + 2)
  end
  for key in next, opts do
    if not checkers[key] then bad("unknown option '" .. errors.show(key) .. "'") end
  end
  local result = {}
  for key, checker in pairs(checkers) do
    local value = opts[key]
    if value ~= nil then
      local wanted, got = checker(value)
      if wanted ~= true then
        bad("option '" .. key .. "': " .. wanted .. " expected, got " .. (got or errors.kind(value)))
      end
      result[key] = value
    end
  end
  return result
end

------------------------------------------------------------------------------
-- Checkers

--- For values of a type.
function options.is(kind)
  return function(value) return type(value) == kind or kind end
end

--- For numbers for which `fits` returns true; `what` is the words for them.
function options.number(what, fits)
  return function(value)
    if type(value) ~= "number" then return what end
    return fits(value) or what, tostring(value)
  end
end

options.text = options.is "string"
options.flag = options.is "boolean"
options.callback = options.is "function"
options.seconds = options.number("number of seconds", function(n) return n >= 0 end)
options.bytes = options.number("positive number of bytes", function(n) return n > 0 end)
options.count = options.number("integer of 1 or more", function(n)
  return math.type(n) == "integer" and n >= 1
end)

return options
