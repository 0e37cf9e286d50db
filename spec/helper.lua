--[[
helper.lua
What the specs share: running programs in a child process, comparing graphs of
values, files that go away by themselves. Needs a POSIX shell, and busted's clock.

  helper.lua(code, opts), helper.run_file(path, opts)   -- see `run` for opts and result
  helper.same_structure(a, b, opts)                     -- true; or false, where and why
  helper.tempdir(), helper.write(path, text), helper.read(path)
  helper.eventually(fn, seconds, pause), helper.now(), helper.slow
  helper.expected_output(path)
]]

local system = require "system"

local helper = {}

-- How many times longer things take here than usual (under a sanitizer): guards and
-- deadlines are multiplied by it, and a stress spec may divide its size by it.
helper.slow = tonumber(os.getenv "ISOLATE_SLOW") or 1

-- The share of their full size that stress specs have; `make stress` sets it to 1.
helper.stress = tonumber(os.getenv "ISOLATE_STRESS") or 0.02

--- Seconds on a clock that never goes back.
helper.now = system.monotime

local function quote(word)
  return "'" .. tostring(word):gsub("'", [['\'']]) .. "'"
end

--
-- Files
--

-- The directories made here; when nobody can use the helper any more, they go.
local dirs = setmetatable({}, { __gc = function(list)
  if #list > 0 then os.execute("rm -rf " .. table.concat(list, " ")) end
end })

--- A new empty directory, removed at the end of the program.
function helper.tempdir()
  local pipe <close> = assert(io.popen "mktemp -d")
  local dir = assert(pipe:read "l", "mktemp made no directory")
  dirs[#dirs + 1] = quote(dir)
  return dir
end

--- Makes the file 'path' hold 'text', byte for byte; returns 'path'.
function helper.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
  return path
end

--- All of the file 'path'.
function helper.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- The text of the comment `--[[ Output:` at the end of an example.
function helper.expected_output(path)
  local _, text = helper.read(path):match "\n%-%-%[(=*)%[ Output:\n(.-)%]%1%]%s*$"
  return assert(text, path .. " does not end with its output")
end

--
-- Programs
--

-- The interpreter running now, as the shell finds it.
local function interpreter()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return arg[first]
end

-- A search path with its relative entries made absolute.
local function absolute(path)
  local here = os.getenv "PWD"
  return (path:gsub("[^;]+", function(entry)
    if entry:sub(1, 1) ~= "/" then return here .. "/" .. entry:gsub("^%./", "") end
  end))
end

-- The shell commands that send 'signal' once the program whose process id is in
-- 'dir'/pid is ready for it; they end by themselves if it ends before.
local function sender(dir, signal)
  local pid, out = quote(dir .. "/pid"), quote(dir .. "/stdout")
  local wait = "sleep " .. (signal.after or 0)
  if signal.after_output then
    wait = ("until grep -qF -e %s %s; do kill -0 $(cat %s) || exit; sleep 0.02; done; %s")
      :format(quote(signal.after_output), out, pid, wait)
  end
  return ("( until [ -s %s ]; do sleep 0.01; done; %s; kill -%s $(cat %s) ) 2>/dev/null >&2 &")
    :format(pid, wait, signal.name, pid)
end

--[[
Runs the Lua file 'path' in a child process and waits for its end. opts:
  args         list of its arguments
  env          its environment: {NAME = "value"}; false takes a variable away
  stdin        what it reads: a text; true: a pipe that stays open and silent
  cwd          the directory it runs in
  guard        seconds until it is stopped (default 10)
  send_signal  {name = "INT", after = seconds, after_output = text that it must have
               written, and flushed, to stdout before}
The result:
  status       its exit status, or nil if a signal ended it
  signal       the number of that signal, or nil
  timed_out    true if the guard stopped it; then status is 124
  stdout, stderr, seconds
]]
local function run(path, opts)
  local dir = helper.tempdir()
  local guard = (opts.guard or 10) * helper.slow
  local words = { "exec timeout -k 1", guard, "env" }
  local function add(word) words[#words + 1] = word end

  local env = { LUA_PATH_5_4 = absolute(package.path) .. ";./?.lua",
                LUA_CPATH_5_4 = absolute(package.cpath) }
  for name, value in pairs(opts.env or {}) do env[name] = value end
  for name, value in pairs(env) do
    if not value then add("-u " .. name) end
  end
  for name, value in pairs(env) do
    if value then add(quote(name .. "=" .. value)) end
  end
  -- The shell becomes the program, so its process id is the program's.
  add(("sh -c 'echo $$ >\"$0\"; exec \"$@\"' %s %s %s"):format(
    quote(dir .. "/pid"), quote(interpreter()), quote(path)))
  for _, word in ipairs(opts.args or {}) do add(quote(word)) end

  if opts.stdin == true then
    add("<>" .. quote(dir .. "/stdin"))
    assert(os.execute("mkfifo " .. quote(dir .. "/stdin")))
  elseif opts.stdin then
    add("<" .. quote(helper.write(dir .. "/stdin", opts.stdin)))
  else
    add "</dev/null"
  end
  add((">%s 2>%s"):format(quote(dir .. "/stdout"), quote(dir .. "/stderr")))

  local command = table.concat(words, " ")
  if opts.send_signal then command = sender(dir, opts.send_signal) .. "\n" .. command end
  if opts.cwd then command = "cd " .. quote(opts.cwd) .. " || exit\n" .. command end

  helper.write(dir .. "/stdout", "")
  local start = helper.now()
  local _, how, code = os.execute(command)
  local result = { seconds = helper.now() - start, stdout = helper.read(dir .. "/stdout"),
                   stderr = helper.read(dir .. "/stderr") }
  -- The undefined behaviour sanitizer writes nowhere else.
  assert(not result.stderr:find "%.[ch]:%d+:%d+: runtime error: ", result.stderr)
  if result.seconds >= guard and (code == 124 or how == "signal") then
    result.status, result.timed_out = 124, true
  elseif how == "signal" then
    result.signal = code
  else
    result.status = code
  end
  return result
end

--- Runs an existing Lua file; the current directory stays unless opts.cwd says so.
function helper.run_file(path, opts)
  return run(path, opts or {})
end

--- Runs `code` as script.lua in a new directory, which is its current directory, so
-- that messages say "script.lua:1:". opts.files = {["mod.lua"] = text} come beside it.
function helper.lua(code, opts)
  local all = { cwd = helper.tempdir() }
  for name, value in pairs(opts or {}) do all[name] = value end
  local dir = all.cwd
  helper.write(dir .. "/script.lua", code)
  for name, text in pairs(all.files or {}) do helper.write(dir .. "/" .. name, text) end
  return run("script.lua", all)
end

--- Calls `fn` until it returns something true, at most for `seconds` (default 5), with
-- `pause()` in between (default: sleeps 5 ms). Returns what `fn` returned last.
function helper.eventually(fn, seconds, pause)
  local deadline = helper.now() + (seconds or 5) * helper.slow
  while true do
    local value = fn()
    if value or helper.now() >= deadline then return value end
    if pause then pause() else system.sleep(0.005) end
  end
end

--
-- Comparing
--
-- Two graphs are the same if their objects can be paired off one to one so that pairs
-- hold equal plain values and paired objects in the same places. Most pairs follow
-- from the two roots through plain keys. What is left are keys that are objects
-- themselves: there each partner that is still free is tried, and pairs made by a
-- wrong guess are undone.
--

local function is_object(value)
  local kind = type(value)
  return kind == "table" or kind == "function"
end

-- Equal, of the same subtype; NaN is equal to NaN, and 0.0 differs from -0.0.
local function same_plain(a, b)
  if a ~= a then return b ~= b and type(b) == "number" end
  if a ~= b or type(a) ~= type(b) or math.type(a) ~= math.type(b) then return false end
  return math.type(a) ~= "float" or a ~= 0 or 1 / a == 1 / b
end

-- A pair to compare is {parent pair, key, a, b}; the roots' pair has no parent. Where a
-- pair was found, written as Lua does: value.items[3]
local function place_name(pair)
  local parts = {}
  while pair[1] and #parts < 50 do
    local key = pair[2]
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then
      table.insert(parts, 1, "." .. key)
    else
      table.insert(parts, 1, "[" .. (type(key) == "string" and ("%q"):format(key) or tostring(key)) .. "]")
    end
    pair = pair[1]
  end
  return (pair[1] and "..." or "value") .. table.concat(parts)
end

local Comparison = {}
Comparison.__index = Comparison

-- How far the comparison is, when no work is waiting.
function Comparison:mark()
  return { paired = #self.paired, keyed = #self.keyed, decided = #self.decided }
end

-- Goes back to 'mark'.
function Comparison:undo(mark)
  for i = #self.paired, mark.paired + 1, -1 do
    local a = self.paired[i]
    self.from[self.to[a]], self.to[a], self.paired[i] = nil, nil, nil
  end
  for i = #self.decided, mark.decided + 1, -1 do
    self.decided[i].done, self.decided[i] = nil, nil
  end
  for i = #self.keyed, mark.keyed + 1, -1 do self.keyed[i] = nil end
  self.work = {}
end

-- Still to do: 'a' and 'b', found at 'key' of 'parent', must be the same.
function Comparison:expect(a, b, parent, key)
  self.work[#self.work + 1] = { parent, key, a, b }
end

-- The fields of a pair of tables: plain keys become work, object keys wait in 'keyed'.
function Comparison:fields(pair, a, b)
  local count = 0
  for key, value in next, a do
    count = count + 1
    if is_object(key) then
      self.keyed[#self.keyed + 1] = { pair = pair, key = key }
    else
      self:expect(value, rawget(b, key), pair, key)
    end
  end
  for key in next, b do
    count = count - 1
    if not is_object(key) and rawget(a, key) == nil then
      return false, { pair, key }, "is only in the second"
    end
  end
  if count ~= 0 then return false, pair, "has another number of keys" end
  return true
end

-- Compares one pair; true, or false, where, why.
function Comparison:compare(pair)
  local a, b = pair[3], pair[4]
  if not (is_object(a) and is_object(b)) then
    if same_plain(a, b) then return true end
    return false, pair, ("%s and %s differ"):format(tostring(a), tostring(b))
  end
  if self.to[a] ~= nil or self.from[b] ~= nil then
    if self.to[a] == b then return true end
    return false, pair, "is shared differently"
  end
  self.to[a], self.from[b] = b, a
  self.paired[#self.paired + 1] = a
  if rawequal(a, b) then return true end
  if type(a) ~= type(b) then
    return false, pair, ("a %s and a %s differ"):format(type(a), type(b))
  end
  if type(a) == "function" then
    if not self.functions or self.functions(a, b) then return true end
    return false, pair, "the functions differ"
  end
  local meta_a, meta_b = debug.getmetatable(a), debug.getmetatable(b)
  if self.metatables and (meta_a or meta_b) then self:expect(meta_a, meta_b, pair, "(metatable)") end
  return self:fields(pair, a, b)
end

-- Works until nothing is left but keys whose partner is unknown. Returns true and the
-- first of these, if any; or false, where, why.
function Comparison:settle()
  local undecided, moved
  repeat
    local work = self.work
    while #work > 0 do
      local ok, where, why = self:compare(table.remove(work))
      if not ok then return false, where, why end
    end
    undecided, moved = nil, false
    for _, field in ipairs(self.keyed) do
      local pair, key = field.pair, field.key
      local partner = self.to[key]
      if partner == nil then
        undecided = undecided or field
      elseif not field.done then
        local value = rawget(pair[4], partner)
        if value == nil then return false, { pair, key }, "is only in the first" end
        field.done, moved = true, true
        self.decided[#self.decided + 1] = field
        self:expect(rawget(pair[3], key), value, pair, key)
      end
    end
  until not moved
  return true, undecided
end

-- Settles what follows, then guesses; true, or false, where, why.
function Comparison:solve()
  local ok, field, why = self:settle()
  if not ok then return false, field, why end
  if not field then return true end
  local pair, key, mark, free = field.pair, field.key, self:mark(), {}
  for candidate in next, pair[4] do
    if is_object(candidate) and self.from[candidate] == nil then free[#free + 1] = candidate end
  end
  for _, candidate in ipairs(free) do
    self.guesses = self.guesses + 1
    assert(self.guesses < 1e6, "too many keys that are objects: cannot compare them all")
    self:expect(key, candidate, pair, key)
    if self:solve() then return true end
    self:undo(mark)
  end
  return false, { pair, key }, "has no partner in the second"
end

--- Whether `a` and `b` are the same graph: same values and subtypes, same sharing and
-- cycles, same metatables. If not: false, and where and why, as one text. Userdata are
-- compared with ==. opts.metatables = false leaves metatables out; opts.functions(f, g)
-- compares functions (else any two may be a pair, but shared ones must stay shared).
function helper.same_structure(a, b, opts)
  opts = opts or {}
  local comparison = setmetatable({
    metatables = opts.metatables ~= false,
    functions  = opts.functions,
    work = {},                -- pairs to compare
    to = {}, from = {},       -- an object of the first → its partner, and back
    paired  = {},             -- the keys of 'to', in the order they came
    keyed   = {},             -- fields whose key is an object: {pair of their tables, key}
    decided = {},             -- those of them whose partner is known
    guesses = 0,
  }, Comparison)
  comparison:expect(a, b)
  local ok, where, why = comparison:solve()
  if ok then return true end
  return false, place_name(where) .. " " .. why
end

return helper
