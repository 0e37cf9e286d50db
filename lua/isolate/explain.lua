--- Isolate.explain: what would travel if a value were sent.

local string, table = string, table
local core = require "isolate.core"

-- How many parts of one value, and how many levels, are shown; what cannot be
-- sent is shown wherever it is.
local MAX_PARTS, MAX_DEPTH = 12, 20

local function bytes(n) return string.format("%d byte%s", n, n == 1 and "" or "s") end

local function describe(note)
  if note.refused then return "cannot be sent: " .. note.refused end
  if note.name then return note.kind .. ", by name: " .. note.name end
  if not note.bytes then return note.kind .. ", too much in it cannot be sent" end
  return note.kind .. ", " .. bytes(note.bytes)
end

-- The notes come in the order of writing, each with its depth: makes them a
-- tree, where all above a refused value are marked, too.
local function tree(notes)
  local root = { depth = -1 }
  local path = { [-1] = root }  -- the node that was last at each depth
  for _, note in ipairs(notes) do
    local parent = path[note.depth - 1]
    parent[#parent + 1] = note
    path[note.depth] = note
    if note.refused then
      for depth = -1, note.depth do path[depth].shown = true end
    end
  end
  return root
end

local function write(lines, node)
  local left_out = 0
  for i, part in ipairs(node) do
    if part.shown or i <= MAX_PARTS and part.depth < MAX_DEPTH then
      lines[#lines + 1] = string.rep("  ", part.depth) .. part.step .. ": " .. describe(part)
      write(lines, part)
    else
      left_out = left_out + 1
    end
  end
  if left_out > 0 then
    lines[#lines + 1] = string.rep("  ", node.depth + 1) .. "… and " .. left_out .. " more"
  end
end

--- A tree of what would travel with `value`: with the bytes of each part and
-- all below it, what goes by name, and what could not go, and why.
---@param value any
---@return string
return function(value)
  local lines = {}
  write(lines, tree(core.explain(value)))
  return table.concat(lines, "\n")
end
