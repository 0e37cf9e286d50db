-- Many isolates listen to one, pause it, resume it, ping it and kill it, all at once.
-- Who listened before the kill hears of the end exactly once; pongs come at most once
-- each, in the order of the pings; errors come in the order in which they were raised.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local watchers, targets = load.size(100, 8), load.size(100, 10)

-- Raises errors that are not fatal, as fast as it gets events.
local function target(home)
  local inbox = Isolate.ReceivePort()
  local n = 0
  inbox:listen(function()
    n = n + 1
    inbox.send_port:send "again"
    error(tostring(n), 0)
  end)
  inbox.send_port:send "first"
  home:send "on"
end

-- Listens to each target that main names, and does what may be done with a handle
-- until that has ended; then tells main what it has heard.
local function watch(start)
  local inbox <close> = Isolate.ReceivePort()
  start.home:send(inbox.send_port)
  math.randomseed(start.seed)
  for _, job in inbox:messages() do
    if job == "bye" then break end
    local iso, ends, pongs, errors, others, wrong = job.iso, 0, 0, 0, 0, nil
    local ended = Isolate.Completer()
    local exits, answers, failures, other = Isolate.ReceivePort(), Isolate.ReceivePort(),
      Isolate.ReceivePort(), Isolate.ReceivePort()
    exits:listen(function(what)
      ends = ends + 1
      if ends == 1 then ended:complete() end
      if what ~= "late" then wrong = "the first response of the port, not the last" end
    end)
    answers:listen(function(n)
      if n <= pongs then wrong = ("pong %d after %d"):format(n, pongs) end
      pongs = n
    end)
    failures:listen(function(err)
      local n = tonumber(err[1])
      if n ~= errors + 1 and errors > 0 then wrong = ("error %d after %d"):format(n, errors) end
      errors = n
    end)
    other:listen(function() others = others + 1 end)
    iso:add_on_exit_listener(exits.send_port, "early")
    iso:add_on_exit_listener(exits.send_port, "late")
    iso:add_error_listener(failures.send_port)
    start.home:send "ready"
    inbox:receive()  -- all listen now

    local n, pauses = 0, {}
    while not iso:join(math.random() * 0.001) do
      for _ = 1, 5 do
        local what = math.random(8)
        if what <= 2 then
          n = n + 1
          iso:ping(answers.send_port, n)
        elseif what == 3 and #pauses < 5 then
          pauses[#pauses + 1] = iso:pause()
        elseif what == 4 then
          while #pauses > 0 do iso:resume(table.remove(pauses)) end
        elseif what == 5 then
          iso:add_on_exit_listener(other.send_port)
        elseif what == 6 then
          iso:remove_on_exit_listener(other.send_port)
          iso:remove_error_listener(other.send_port)
        elseif what == 7 then
          iso:set_errors_fatal(false)
        else
          Isolate.list()
        end
      end
      if job.kill and math.random(20) == 1 then iso:kill(math.random(0, 1)) end
    end
    ended.future:await()
    Isolate.sleep(0.001)  -- if more came, it would be here
    exits:close()
    answers:close()
    failures:close()
    other:close()
    start.home:send { ends = ends, pongs = pongs, pings = n, others = others, wrong = wrong }
  end
end

local function round()
  local home <close> = Isolate.ReceivePort()
  local nobody = Isolate.ReceivePort()  -- errors do not go to stderr
  local deaf = nobody.send_port
  nobody:close()
  local ports = {}
  for i = 1, watchers do
    Isolate.spawn(watch, { home = home.send_port, seed = math.random(2^31) })
    ports[i] = home:receive()
  end
  for _ = 1, targets do
    local iso = Isolate.spawn(target, home.send_port, { errors_are_fatal = false, on_error = deaf })
    home:receive()
    local killer = math.random(2) == 1
    for i = 1, watchers do ports[i]:send { iso = iso, kill = killer and i <= 4 } end
    for _ = 1, watchers do home:receive() end
    for i = 1, watchers do ports[i]:send "go" end
    local answers = {}
    Isolate.sleep(math.random() * 0.01)
    if not killer then iso:kill(math.random(0, 1)) end
    for i = 1, watchers do answers[i] = home:receive() end
    for _, answer in ipairs(answers) do
      load.check(not answer.wrong, "%s", answer.wrong)
      load.check(answer.ends == 1, "the end was heard %d times", answer.ends)
      load.check(answer.others <= 1, "the end was heard %d times", answer.others)
      load.check(answer.pongs <= answer.pings, "there were more pongs than pings")
    end
  end
  for i = 1, watchers do ports[i]:send "bye" end
  while #Isolate.list() > 1 do Isolate.sleep(0.001) end
end

load.rounds(1, 2, round, ("%d isolates at each of %d that are killed"):format(watchers, 3 * targets))
