--- Tables of options: checked as a whole, before anything is done.

local expected = require "isolate.errors".expected

local options = {}

--- Raises for what is wrong with `opts`, argument `i` of the function called
-- `name`: `checks` has a function for each key, which returns true, or what was
-- expected (and what there is). Returns `opts`, or an empty table for nil.
-- `level` is counted from the caller, as that of `error`.
function options.check(opts, i, name, checks, level)
  if opts == nil then return {} end
  if type(opts) ~= "table" then expected("table", opts, i, name, level + 1) end
  for key, value in pairs(opts) do
    local check = checks[key]
    if not check then
      error("bad argument #" .. i .. " to '" .. name .. "' (unknown option '"
        .. tostring(key) .. "')", level + 1)
    end
    local wanted, got = check(value)
    if wanted ~= true then
      error("bad argument #" .. i .. " to '" .. name .. "' (option '" .. key .. "': "
        .. wanted .. " expected, got " .. (got or
          (type(value) == "number" and tostring(value)) or type(value)) .. ")", level + 1)
    end
  end
  return opts
end

-- Checks that several modules need.

function options.text(v) return type(v) == "string" or "string" end

function options.flag(v) return type(v) == "boolean" or "boolean" end

function options.count(v) return math.type(v) == "integer" and v >= 1 or "integer of 1 or more" end

function options.bytes(v) return type(v) == "number" and v > 0 or "positive number of bytes" end

function options.seconds(v) return type(v) == "number" and v >= 0 or "number of seconds" end

function options.callback(v) return type(v) == "function" or "function" end

return options
