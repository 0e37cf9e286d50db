--- Isolate.explain: what would travel if a value were sent.

local core = require "isolate.core"

local MAX_LINES = 200

-- "1,234 bytes"
local function bytes(n)
  local digits = string.format("%d", n)
  local grouped = string.reverse((string.gsub(string.reverse(digits), "(%d%d%d)", "%1,")))
  return (string.gsub(grouped, "^,", "")) .. (n == 1 and " byte" or " bytes")
end

local function describe(note)
  if note.refused then return "cannot be sent: " .. note.refused end
  if note.name then return note.kind .. ", by name: " .. note.name end
  if note.bytes then return note.kind .. ", " .. bytes(note.bytes) end
  return note.kind
end

--- A tree of what would travel with `value`: tables, functions and long strings
-- with their bytes (of all below them), what goes by name, and what could not
-- go, and why. Short strings and numbers are counted with what holds them.
---@param value any
---@return string
return function(value)
  local lines = {}
  for i, note in ipairs(core.explain(value)) do
    if i > MAX_LINES then
      lines[i] = "…"
      break
    end
    lines[i] = string.rep("  ", note.depth) .. note.step .. ": " .. describe(note)
  end
  if #lines == 0 then return type(value) .. ", by value" end
  return table.concat(lines, "\n")
end
