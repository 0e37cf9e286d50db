-- tutorial_spec.lua
-- What the outputs of examples/tutorial/ cannot show: ends, losses and races of the tutorials' programs.

local Isolate = require "isolate"
local helper  = require "spec.helper"
local Store   = require "tutorial.database.store"

local GUARD <const> = 10             -- seconds; only a fault ever waits this long

-- Runs an example with `code` in place of its last line, the call of main.
local function variant(name, code, opts)
  local text, count = helper.read("examples/" .. name):gsub("\nmain%(%)\n", function() return "\n" .. code .. "\n" end)
  assert.equal(1, count)
  return helper.lua(text, opts)
end

-- What `code` prints in place of the example's main; it must end by itself.
local function output(name, code)
  local result = variant(name, code)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

describe("a port that is not closed", function()
  it("keeps the program alive: the basic Worker without its close", function()
    local result = variant("basic_ports.lua", [[
      local worker = Worker.new()
      worker:spawn()
      worker:parse_json '{"key": "value"}'
      Isolate.loop()
    ]], { guard = 0.5 })
    assert.is_true(result.timed_out)
  end)

  it("keeps the program alive: the port that hears of the worker's work, but not of its end", function()
    local text = helper.read "examples/tutorial/do_work.lua"
    local with_end = helper.lua(text)
    assert.equal(0, with_end.status)
    local without, count = text:gsub(", {on_exit = port.send_port}", "")
    assert.equal(1, count)
    assert.is_true(helper.lua(without, { guard = 0.5 }).timed_out)
  end)
end)

describe("the Completer of do_work.lua", function()
  it("goes on before the next message also in a task, however both messages came", function()
    local log = {}
    local port, ready = Isolate.ReceivePort(), Isolate.Completer()
    port.send_port:send "ready"      -- both wait before anybody listens
    port.send_port:send "done"
    port:listen(function(message)
      if message == "ready" then return ready:complete() end
      log[#log + 1] = message
      port:close()
    end)
    Isolate.async(function()
      ready.future:await()
      log[#log + 1] = "set up"
    end):await(GUARD)
    Isolate.loop()
    assert.same({ "set up", "done" }, log)
  end)

  it("fails if the worker dies before it is set up", function()
    local text, count = helper.read "examples/tutorial/do_work.lua"
      :gsub("send_port:send%(READY%)", "Isolate.exit()")
    assert.equal(1, count)
    local result = helper.lua(text)
    assert.matches("the worker did not start", result.stderr, 1, true)
    assert.equal("", result.stdout)
    assert.equal(1, result.status)
  end)
end)

describe("the robust Worker", function()
  local robust = "tutorial/robust_ports.lua"

  it("fails both who wait at once when it is killed, and refuses more", function()
    assert.equal("--- port closed --- \nfalse\tthe worker has ended\nfalse\tthe worker has ended\nfalse\tClosed\n",
      output(robust, [[
        local worker = Worker.spawn()
        local one, two = worker:parse_json(LONG), worker:parse_json(LONG)
        worker.isolate:kill(Isolate.immediate)
        local failed = Isolate.Completer()
        two:catch(function() failed:complete() end)
        failed.future:await()
        for _, future in ipairs { one, two } do
          local ok, err = pcall(future.await, future)
          print(ok, err.message)
        end
        print(pcall(worker.parse_json, worker, "1"))
      ]]))
  end)

  it("fails who waits when an error ends it", function()
    local result = variant(robust, [[
      function handle_commands(commands)
        commands:listen(function() error "a bug in the worker" end)
      end
      local worker = Worker.spawn()
      report("one", worker:parse_json "1")
      Isolate.loop()
    ]])
    assert.equal("one\tfailed: the worker has ended\n--- port closed --- \n", result.stdout)
    assert.matches("a bug in the worker", result.stderr, 1, true)
    assert.equal(0, result.status)
  end)

  it("is not had if it dies before its port is known, and leaves none open", function()
    assert.equal("false\tthe worker has not started\n", output(robust, [[
      function start_remote_isolate() Isolate.exit() end
      local ok, err = pcall(Worker.spawn)
      print(ok, err.message)
      Isolate.loop()
    ]]))
  end)

  it("leaves no port open if there is no isolate to be had", function()
    assert.equal("false\tno threads left\n", output(robust, [[
      Isolate.spawn = function() error("no threads left", 0) end
      print(pcall(Worker.spawn))
      Isolate.loop()
    ]]))
  end)

  it("closes its port with the last answer, even if the other isolate goes on", function()
    assert.equal("one\tkey: long\n--- port closed --- \nnil\ttimeout\n", output(robust, [[
      function start_remote_isolate(send_port)
        local commands, _ = Isolate.ReceivePort(), Isolate.ReceivePort()
        send_port:send(commands.send_port)
        handle_commands(commands, send_port)
      end
      local worker = Worker.spawn()
      report("one", worker:parse_json(LONG))
      worker:close()
      Isolate.loop()
      print(worker.isolate:join(0))
    ]]))
  end)

  -- A sync Completer goes on in the middle of handling the answer, so the close within came twice.
  it("is closed once by a task that closes it as soon as it has its answer", function()
    assert.equal("--- port closed --- \nkey\n", output(robust, [[
      local worker = Worker.spawn()
      Isolate.async(function()
        local data = worker:parse_json '{"key": "key"}':await()
        worker:close()
        print(data.key)
      end):await()
      Isolate.loop()
    ]]))
  end)

  it("gives each of many callers the answer to its own request, whatever the order", function()
    assert.equal("500 own answers, 100 failed, in another order\n--- port closed --- \n", output(robust, [[
      local worker = Worker.spawn()
      local own, failed, last, order, asked = 0, 0, 0, "in order", {}
      for i = 1, 600 do
        local text = i % 6 == 0 and "{" .. i or i % 6 == 1 and i .. (" "):rep(200) or tostring(i)
        asked[i] = worker:parse_json(text):next(function(value)
          if value == i then own = own + 1 end
          if i < last then order = "in another order" end
          last = i
        end, function() failed = failed + 1 end)
      end
      Isolate.Future.all(asked):await()
      print(own .. " own answers, " .. failed .. " failed, " .. order)
      worker:close()
      worker:close()
      Isolate.loop()
    ]]))
  end)
end)

describe("the periodic sender", function()
  it("goes on when the port it sends to is closed, and ends when it is killed", function()
    local port, proof = Isolate.ReceivePort(), Isolate.ReceivePort()
    local iso = Isolate.spawn(function(to)
      local count = 0
      Isolate.Timer.periodic(0.001, function()
        count = count + 1
        to.port:send(count)
        to.proof:send(count)
      end)
    end, { port = port.send_port, proof = proof.send_port })

    while port:receive(GUARD) < 5 do end
    port:close()
    local last = proof:receive(GUARD)
    while last < 20 do last = proof:receive(GUARD) end
    assert.is_nil(iso:join(0))

    iso:kill(Isolate.immediate)
    assert.is_true(iso:join(GUARD))
    while proof:receive(0) do end    -- what it sent before
    assert.same({ nil, "timeout" }, { proof:receive(0.05) })
    proof:close()
  end)
end)

describe("the store", function()
  local messages = { name = "messages", "content text" }
  local directory, where, store

  before_each(function()
    directory = helper.tempdir()
    where = { directory = directory, name = "myInstance" }
    store = Store.open({ messages }, where)
  end)

  after_each(function()
    store:close()
  end)

  -- Commits `times` times, each time two messages of `writer`. To be run in an isolate.
  local function write(writer, times)
    local own <close> = Store.open({ messages }, where)
    for i = 1, times do
      own:write(function()
        local content = writer .. " " .. i
        own:insert_all("messages", { { content = content }, { content = content } })
      end)
    end
  end

  -- Hears of commits until there were `expected`; returns how many, the ids they named, and how often one could not be read.
  local function hear(expected, ready)
    local own <close> = Store.open({ messages }, where)
    local seen, commits, unreadable, done = {}, 0, 0, Isolate.Completer()
    own:watch("messages", function(ids)
      commits = commits + 1
      for _, id in ipairs(ids) do
        seen[#seen + 1] = id
        local there = own:execute("select content from messages where id = " .. id)
        if #there ~= 1 then unreadable = unreadable + 1 end
      end
      if commits == expected then done:complete() end
    end)
    if ready then ready:send(true) end
    done.future:await(GUARD)
    Isolate.sleep(0.05)              -- for one that comes twice
    table.sort(seen)
    return commits, seen, unreadable
  end

  it("tells watchers in all isolates of each commit once, and never before its rows can be read", function()
    local times = 100
    local port <close> = Isolate.ReceivePort()
    local elsewhere = Isolate.run(hear, 2 * times, port.send_port)
    assert.is_true(port:receive(GUARD))

    local here = Isolate.async(hear, 2 * times)    -- closes `store`, for this isolate has one only
    local writers = { Isolate.run(write, "one", times), Isolate.run(write, "two", times) }
    Isolate.Future.all(writers):await(GUARD)

    local all = {}
    for id = 1, 4 * times do all[id] = id end
    for _, watcher in ipairs { here, elsewhere } do
      local commits, seen, unreadable = watcher:await(GUARD)
      assert.equal(2 * times, commits)
      assert.same(all, seen)
      assert.equal(0, unreadable)
    end
  end)

  it("tells of what was changed and removed, each object once; not of what was taken back, or of nothing", function()
    Isolate.run(write, "a", 1):await(GUARD)
    local heard = {}
    local watcher = store:watch("messages", function(ids) heard[#heard + 1] = table.concat(ids, " ") end)

    assert.has_error(function()
      store:write(function()
        store:execute "delete from messages"
        error("no, do not", 0)
      end)
    end, "no, do not")
    store:write(function() end)
    store:write(function()
      store:execute "update messages set content = 'b' where id = 2"
      store:execute "update messages set content = 'c' where id = 2"
    end)
    store:write(function() store:execute "delete from messages" end)
    Isolate.run(write, "d", 1):await(GUARD)
    helper.eventually(function() return #heard == 3 end, 5, function() Isolate.step(0.01) end)
    watcher:cancel()
    assert.same({ "2", "1 2", "1 2" }, heard)
  end)

  it("refuses another schema under the same name, here and in other isolates, and stays usable", function()
    local posts = { name = "posts", "title text" }
    local refused = "'myInstance' was made with another schema: messages (id integer primary key, content text)"
    local ok, err = pcall(Store.open, { posts }, where)
    assert.is_false(ok)
    assert.matches(refused, err, 1, true)

    ok, err = pcall(function()
      return Isolate.run(function() Store.open({ messages, posts }, where) end):await(GUARD)
    end)
    assert.is_false(ok)
    assert.matches(refused, err.message, 1, true)

    Isolate.run(write, "still", 1):await(GUARD)
    assert.equal(2, store:count "messages")
    local other <close> = Store.open({ posts }, { directory = directory, name = "other" })
    assert.equal(0, other:count "posts")
  end)

  it("is one object per isolate and name, until it is closed", function()
    assert.equal(store, Store.open({ messages }, where))
    store:close()
    store:close()
    local again = Store.open({ messages }, where)
    assert.not_equal(store, again)
    store = again
  end)

  -- SQLite refused one in a thousand of them ("database is locked"), without a wait, when it turned the file to WAL.
  it("can be opened first by many isolates at once", function()
    local function open_fresh(count)
      for i = 1, count do
        local fresh <close> = Store.open({ messages }, { directory = directory, name = "fresh " .. i })
        assert(fresh:count "messages" == 0)
      end
    end
    local openers = {}
    for i = 1, 8 do openers[i] = Isolate.run(open_fresh, 10) end
    Isolate.Future.all(openers):await(GUARD)
  end)

  it("lets a writer read what it changes: of two that count up nothing is lost", function()
    store:write(function() store:insert_all("messages", { { content = "0" } }) end)
    local function count_up(times)
      local own <close> = Store.open({ messages }, where)
      for _ = 1, times do
        own:write(function()
          local old = own:execute("select content from messages")[1].content
          own:execute("update messages set content = '" .. math.tointeger(old) + 1 .. "'")
        end)
      end
    end
    Isolate.Future.all { Isolate.run(count_up, 100), Isolate.run(count_up, 100) }:await(GUARD)
    assert.equal("200", store:execute("select content from messages")[1].content)
  end)

  it("keeps text as it is", function()
    local text = "O'Brien \" 작업 완료; drop table messages --"
    store:write(function() store:insert_all("messages", { { content = text } }) end)
    assert.equal(text, store:execute("select content from messages")[1].content)
  end)

  it("loses the transaction of a writer that is killed, nothing else, and goes on #signal", function()
    local port <close> = Isolate.ReceivePort()
    local writer = Isolate.spawn(function(ready)
      local own = Store.open({ messages }, where)
      own:write(function() own:insert_all("messages", { { content = "kept" } }) end)
      own:write(function()
        own:insert_all("messages", { { content = "lost" } })
        ready:send(true)
        while true do end
      end)
    end, port.send_port)
    assert.is_true(port:receive(GUARD))
    writer:kill(Isolate.immediate)
    assert.is_true(writer:join(GUARD))
    Isolate.run(write, "next", 1):await(GUARD)
    assert.same({ { content = "kept" }, { content = "next 1" }, { content = "next 1" } },
      store:execute "select content from messages order by id")
  end)

  it("stays in its isolate", function()
    assert.has_error(function() Isolate.run(type, store) end,
      "cannot send argument[1]: a Store stays in its isolate")
  end)
end)
