--[[
output.lua
How busted reports here: a dot per spec, every failure in full when it happens, at the
end the line "N passed, N failed" (errors are failures). On the way it keeps the count and the
name of the running spec in the file $ISOLATE_PROGRESS, so that tools/specs.sh can
tell where a run ended that never came to its end.
]]

local busted = require "busted"
local base   = require "busted.outputHandlers.base"
local pretty = require "pl.pretty"

local progress = os.getenv "ISOLATE_PROGRESS"

-- Notes how far the run is: the counts, and what runs now ("done" after all).
local function note(passed, failed, running)
  if not progress then return end
  local file <close> = assert(io.open(progress, "w"))
  file:write(passed, " ", failed, "\n", (running:gsub("\n", " ")), "\n")
end

-- What went wrong, as text.
local function message(entry)
  if entry.message == nil then return "" end
  if type(entry.message) == "string" then return entry.message end
  local meta = getmetatable(entry.message)
  if meta and meta.__tostring then return tostring(entry.message) end
  return pretty.write(entry.message)
end

-- Where, which spec, what, and the traceback.
local function describe(entry, label)
  local trace = entry.element.trace or entry.trace or {}
  io.write("\n", label, "  ", trace.short_src or "?", ":", trace.currentline or "?", "\n  ",
           entry.name or "?", "\n", message(entry), "\n")
  if entry.trace and entry.trace.traceback and label ~= "PENDING" then
    io.write(entry.trace.traceback, "\n")
  end
end

return function()
  local handler = base()

  local function failed() return handler.failuresCount + handler.errorsCount end

  -- Writes 'sign', then the failures that were not shown yet.
  local shown = { failures = 0, errors = 0 }
  local function mark(sign)
    io.write(sign)
    for kind, label in pairs { failures = "FAILED", errors = "ERROR" } do
      for i = shown[kind] + 1, #handler[kind] do describe(handler[kind][i], label) end
      shown[kind] = #handler[kind]
    end
    io.flush()
    return nil, true
  end

  local function test_start(element)
    mark ""                                   -- a file or a describe may have failed
    note(handler.successesCount, failed(), handler.getFullName(element))
    return nil, true
  end

  local signs = { success = ".", pending = "p", failure = "F", error = "E" }
  local function test_end(_, _, status) return mark(signs[status] or "?") end

  local function suite_end()
    mark "\n"
    for _, entry in ipairs(handler.pendings) do describe(entry, "PENDING") end
    io.write(("\n%.1f seconds%s\n"):format(handler.getDuration(),
      handler.pendingsCount > 0 and (", %d pending"):format(handler.pendingsCount) or ""))
    io.write(("%d passed, %d failed\n"):format(handler.successesCount, failed()))
    io.flush()
    note(handler.successesCount, failed(), "done")
    return nil, true
  end

  busted.subscribe({ "test", "start" }, test_start, { predicate = handler.cancelOnPending })
  busted.subscribe({ "test", "end" }, test_end, { predicate = handler.cancelOnPending })
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
