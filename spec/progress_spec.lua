-- progress_spec.lua
-- How far a job is: from the job to its caller, and on a line of the terminal.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local Pool, ProgressBar = Isolate.Pool, Isolate.ProgressBar

local function complaint(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return (why:gsub("^spec/progress_spec.lua:%d+: ", "<here> "))
end

describe("progress", function()
  it("goes from the job to its caller, before its results", function()
    local pool <close> = Pool { size = 1 }
    local told = {}
    local job = pool:with { on_progress = function(...) told[#told + 1] = table.pack(...) end }
      :run(function()
        Isolate.progress(1, 3, "first")
        Isolate.sleep(0.03)
        Isolate.progress(2)
        Isolate.progress(3, 3)
        return "done"
      end)
    job:next(function(v) told[#told + 1] = v end)
    job:await()
    Isolate.sleep(0)
    assert.same({ { 1, 3, "first", n = 3 }, { 2, nil, nil, n = 3 }, { 3, 3, nil, n = 3 }, "done" },
      told)
  end)

  -- The last one was left out, too, when the total was not known.
  it("leaves calls in quick succession out, but never the last", function()
    local pool <close> = Pool { size = 1 }
    for _ = 1, 2 do
      local told = {}
      pool:with { on_progress = function(done) told[#told + 1] = done end }
        :run(function() for i = 1, 10000 do Isolate.progress(i) end end):await()
      assert.equal(10000, told[#told])
      assert.is_true(#told < 1000)
      told = {}
      local job = pool:with { on_progress = function(done) told[#told + 1] = done end }
        :run(function() for i = 1, 10 do Isolate.progress(i) end error "failed" end)
      assert.is_false((pcall(job.await, job)))
      assert.equal(10, told[#told])
    end
  end)

  it("may be told to somebody who waits, or raises", function()
    local got = helper.lua([[
      local Isolate = require "isolate"
      local pool <close> = Isolate.Pool { size = 1 }
      local job = pool:with { on_progress = function() Isolate.sleep(0.01) print "slept" end }
        :run(function() Isolate.progress(1, 1) end)
      job:await()
      Isolate.sleep(0.05)
      job = pool:with { on_progress = function() error("on the way", 0) end }
        :run(function() Isolate.progress(1, 1) return "well" end)
      print(pcall(job.await, job))
      print(job:await())
    ]])
    assert.equal("slept\nfalse\ton the way\nwell\n", got.stdout)
    assert.equal(0, got.status)
  end)

  it("is nothing outside of a job, or if nobody asked", function()
    Isolate.progress(1, 2, "x")
    Isolate.run(function() Isolate.progress(1) end):await()
    local pool <close> = Pool { size = 1 }
    assert.equal(1, pool:run(function() Isolate.progress(1, 1) return 1 end):await())
  end)

  it("names what is wrong with its arguments, and where", function()
    assert.equal("<here> bad argument #1 to 'progress' (number expected, got nil)",
      complaint(function() Isolate.progress() end))
    assert.equal("<here> bad argument #2 to 'progress' (number expected, got string)",
      complaint(function() Isolate.progress(1, "x") end))
    assert.equal("<here> bad argument #3 to 'progress' (string expected, got number)",
      complaint(function() Isolate.progress(1, 2, 3) end))
    local pool <close> = Pool()
    assert.equal("<here> bad argument #1 to 'with' (option 'on_progress': function expected,"
      .. " got boolean)", complaint(function() pool:with { on_progress = true } end))
  end)
end)

describe("ProgressBar", function()
  local path

  before_each(function() path = helper.tempdir() .. "/out" end)

  -- What `draw(bar)` writes for a bar of this total and these options.
  local function drawn(total, opts, draw)
    opts = opts or {}
    local out <close> = assert(io.open(path, "wb"))
    opts.out, opts.width = out, opts.width or 80
    local bar = ProgressBar(total, opts)
    draw(bar)
    bar:finish()
    return helper.read(path)
  end

  -- The lines that a terminal would show one after the other, and whether it ended.
  local function shown(text)
    local lines = {}
    for line in text:gsub("\n$", ""):gsub("\27%[K", ""):gmatch "\r([^\r\n]*)" do
      lines[#lines + 1] = line:gsub(" +$", "")
    end
    return lines, text:sub(-1) == "\n"
  end

  it("shows share, amount, rate and time on one line, and ends it once", function()
    local lines, ended = shown(drawn(10, { label = "work" }, function(bar)
      bar:update(5, "half")
      bar:update(10, "all")
      bar:finish()
      bar:update(11)
    end))
    assert.is_true(ended)
    assert.match("^work  50%% %[##########%-%-%-%-%-%-%-%-%-%-%] 5/10  .*/s  %d:%d%d left  half$",
      lines[1])
    assert.match("^work 100%% %[####################%] 10/10  .*/s  %d:%d%d  all$", lines[#lines])
  end)

  it("counts when nobody knows the total", function()
    local lines = shown(drawn(nil, nil, function(bar) bar:update(1500000) end))
    assert.match("^1.5M  .*/s  %d:%d%d$", lines[1])
  end)

  it("never is wider than it may be, nor more than a line", function()
    for _, width in ipairs { 1, 2, 10, 40 } do
      for _, line in ipairs(shown(drawn(3, { width = width, label = "äöü" }, function(bar)
        bar:update(1, "a text\nof two lines\r\27[2J and much more, äöüäöüäöüäöüäöü")
      end))) do
        assert.is_true(utf8.len(line) <= width - 1)
        assert.is_nil(line:find "%c")
      end
    end
  end)

  it("draws strange numbers, too", function()
    for _, total in ipairs { 0, 0.5, 1e300, math.huge, 0 / 0, -1, 7 } do
      drawn(total, nil, function(bar)
        for _, done in ipairs { 0, -1, 1e-300, 0.25, 1e300, math.huge, 0 / 0, math.maxinteger } do
          bar.drawn = -1
          bar:update(done)
        end
      end)
    end
  end)

  it("is closed by <close>", function()
    local out <close> = assert(io.open(path, "wb"))
    do local _ <close> = ProgressBar(1, { out = out, width = 40 }) end
    assert.match("\n$", helper.read(path))
  end)

  it("is silent where there is no terminal", function()
    local got = helper.lua([[
      local Isolate = require "isolate"
      local bar <close> = Isolate.ProgressBar(3)
      for i = 1, 3 do bar:update(i) end
      local pool <close> = Isolate.Pool { size = 1 }
      pool:map(function() end, { 1, 2, 3 }, { progress = true })
    ]])
    assert.same({ "", "", 0 }, { got.stdout, got.stderr, got.status })
  end)

  it("names what is wrong with its arguments, and where", function()
    local bar = ProgressBar(1)
    for text, wrong in pairs {
      ["#1 to 'ProgressBar' (number expected, got string)"] = function() ProgressBar "x" end,
      ["#2 to 'ProgressBar' (unknown option 'with')"] = function() ProgressBar(1, { with = 2 }) end,
      ["#2 to 'ProgressBar' (option 'out': open file expected, got string)"] = function()
        ProgressBar(1, { out = "stdout" })
      end,
      ["#2 to 'ProgressBar' (option 'width': integer of 1 or more expected, got 0)"] = function()
        ProgressBar(1, { width = 0 })
      end,
      ["#1 to 'update' (number expected, got nil)"] = function() bar:update() end,
      ["#2 to 'update' (string expected, got number)"] = function() bar:update(1, 2) end,
    } do
      assert.equal("<here> bad argument " .. text, complaint(wrong))
    end
    assert.equal("<here> calling 'update' on bad self (ProgressBar expected, got number)",
      complaint(function() bar.update(1) end))
    assert.equal("<here> calling 'finish' on bad self (ProgressBar expected, got nil)",
      complaint(function() bar.finish() end))
  end)

  -- On a terminal of 50 columns, that of `script`.
  describe("on a terminal", function()
    local has_script = os.execute "command -v script >/dev/null 2>&1"
    local code = [[
      local Isolate = require "isolate"
      local pool <close> = Isolate.Pool { size = 2 }
      local list = {}
      for i = 1, 40 do list[i] = i end
      pool:map(function(x) Isolate.sleep(0.002) return x end, list,
        { progress = true, chunk = 1 })
      print "end"
    ]]

    local function on_terminal(env)
      local dir = helper.tempdir()
      helper.write(dir .. "/script.lua", code)
      helper.write(dir .. "/run.sh", "stty cols 50; exec " .. (os.getenv "LUA" or "lua5.4")
        .. " " .. dir .. "/script.lua\n")
      local pipe <close> = assert(io.popen(("env SHELL=/bin/sh %s timeout 20 script -qec 'sh %s/run.sh' /dev/null"
        .. " </dev/null"):format(env, dir)))
      return (pipe:read "a":gsub("\r\n", "\n"))
    end

    it("a map shows one, within its width", function()
      if not has_script then return pending "there is no script(1)" end
      local text = on_terminal "NO_COLOR= TERM=xterm"
      local bar, rest = text:match "^(.-)\n(.*)$"
      assert.equal("end\n", rest)
      local lines = shown(bar)
      assert.match("^100%% %[####################%] 40/40", lines[#lines])
      for _, line in ipairs(lines) do assert.is_true(#line <= 49, line) end
      assert.match("\27%[K", bar)
    end)

    it("NO_COLOR and dumb terminals get no escapes", function()
      if not has_script then return pending "there is no script(1)" end
      for _, env in ipairs { "NO_COLOR=1 TERM=xterm", "NO_COLOR= TERM=dumb" } do
        local text = on_terminal(env)
        assert.match("40/40", text)
        assert.is_nil(text:find "\27")
      end
    end)
  end)
end)
