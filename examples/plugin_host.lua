-- plugin_host.lua: an editor runs plug-ins that strangers wrote, each in an isolate of its own, with 20 MB and a moment
-- of time. However one resists, it is stopped; its error is shown with its line; and the editor's cursor blinks on.
-- Run it:  lua5.4 examples/plugin_host.lua     (SECONDS=2 in the environment: as much time as a real editor gives)
local Isolate = require "isolate"

local SECONDS = tonumber(os.getenv "SECONDS") or 0.3
local MEMORY  = 20 * 2^20
local LIBS    = {"string", "table", "math", "utf8", "coroutine", "os"}

local plugins, try, play                               -- below

local function main()
  local blinks = 0
  local cursor = Isolate.Timer.periodic(0.005, function() blinks = blinks + 1 end)
  for _, plugin in ipairs(plugins) do
    print(plugin.name .. ": " .. try(plugin))
  end
  cursor:cancel()
  print("the cursor blinked on: " .. tostring(blinks > 10))
end

-- Runs a plug-in: what came of it, as text.
function try(plugin)
  local screen <close> = Isolate.ReceivePort()
  screen:listen(function(line) print("  " .. line) end)
  local job = {name = plugin.name, source = plugin.source, screen = screen.send_port, lines = 3}
  local future = Isolate.compute(play, job, {
    name = plugin.name, timeout = SECONDS, memory_limit = MEMORY, libs = LIBS,
  })
  local ok, result = pcall(future.await, future)
  return ok and result or "failed, " .. result.message
end

-- Runs over there. The plug-in sees what it is given here, and nothing else: no files, no bytecode, and no finalizers,
-- for one that never ends cannot be stopped. Its answer is made a text there: it is a stranger's, too.
function play(job)
  local lines, give = 0, {os = {time = os.time, date = os.date, exit = os.exit}}
  for name in ([[assert error getmetatable ipairs next pairs pcall select tonumber tostring type xpcall
    string table math utf8 coroutine]]):gmatch "%w+" do give[name] = _G[name] end
  function give.print(...)
    lines = lines + 1
    if lines > job.lines then error("more than " .. job.lines .. " lines", 2) end
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]):sub(1, 80) end
    job.screen:send(table.concat(texts, "\t"))
  end
  function give.setmetatable(t, meta)
    if meta and rawget(meta, "__gc") then error("a plug-in has no finalizers", 2) end
    return setmetatable(t, meta)
  end
  local chunk, why = load(job.source, "=" .. job.name, "t", give)
  if not chunk then error(why, 0) end
  return "done, " .. tostring(chunk())
end

plugins = {
  {name = "word count", source = [[
    local text, n = "the quick brown fox", 0
    for word in text:gmatch "%a+" do n = n + 1 end
    print("counted", text)
    return n]]},
  {name = "typo", source = [[
    local x = = 5]]},
  {name = "bug", source = [[
    local line
    return line:upper()]]},
  {name = "loop", source = [[
    while true do end]]},
  {name = "stubborn loop", source = [[
    while true do
      pcall(function() while true do end end)
    end]]},
  {name = "coroutines", source = [[
    while true do
      coroutine.resume(coroutine.create(function() while true do end end))
    end]]},
  {name = "last words", source = [[
    local last <close> = setmetatable({}, {__close = function() while true do end end})
    while true do end]]},
  {name = "finalizer", source = [[
    setmetatable({}, {__gc = function() while true do end end})]]},
  {name = "odd error", source = [[
    error(setmetatable({}, {__tostring = function() while true do end end}))]]},
  {name = "hunger", source = [[
    local all = "x"
    while true do all = all .. all end]]},
  {name = "exit", source = [[
    os.exit(1)]]},
  {name = "chatter", source = [[
    for n = 1, 1000000 do
      print("line", n)
    end]]},
  {name = "snoop", source = [[
    return io.open("/etc/passwd"):read "a"]]},
}

main()

--[[ Output:
  counted	the quick brown fox
word count: done, 4
typo: failed, typo:1: unexpected symbol near '='
bug: failed, bug:2: attempt to index a nil value (local 'line')
loop: failed, the computation was not done after <n> seconds
stubborn loop: failed, the computation was not done after <n> seconds
coroutines: failed, the computation was not done after <n> seconds
last words: failed, the computation was not done after <n> seconds
finalizer: failed, finalizer:1: a plug-in has no finalizers
odd error: failed, the computation was not done after <n> seconds
hunger: failed, not enough memory
exit: failed, computation ended without result
  line	1
  line	2
  line	3
chatter: failed, chatter:2: more than 3 lines
snoop: failed, snoop:1: attempt to index a nil value (global 'io')
the cursor blinked on: true
]]
