-- run.lua
-- Runs the benchmarks and prints one table: `lua5.4 bench/run.lua`, with P=P2 or P="P2 P3" before it for some of them,
-- and ROUNDS=9 for more than five rounds. All of them together are kept, too: bench/results.txt, bench/results.svg, and
-- the table in the README. TINY=1 runs everything once with no number above 20: whether it runs, not how fast.
-- With arguments it runs one side of one measure once, as the frame does, and prints its seconds per operation:
-- `lua5.4 bench/run.lua p2 main integer 100000`.

local here = arg[0]:match "^(.*[/\\])" or "./"
local root = here .. "../"
if not os.getenv "LUA_CPATH_5_4" then  -- else make, or a spec, has set the paths
  package.path = table.concat({root .. "?.lua", root .. "lua/?.lua", root .. "lua/?/init.lua", root .. "examples/?.lua",
                               package.path}, ";")
  package.cpath = root .. "build/?.so;" .. package.cpath
end

local measures = {"p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "jobs", "dart"}
local floor = root .. "build/bench/floor"

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Compiles the floors, unless they are newer than their source.
local function build_floor()
  local source = here .. "floor.c"
  if os.execute(("test %s -nt %s"):format(quote(floor), quote(source))) then return end
  local command = "mkdir -p %sbuild/bench && ${CC:-cc} -std=c11 -O2 -Wall -Wextra -o %s %s "
    .. "$(pkg-config --cflags --libs lua5.4 2>/dev/null || echo -I/usr/include/lua5.4 -llua5.4) -lpthread"
  assert(os.execute(command:format(quote(root), quote(floor), quote(source))), "the floors cannot be compiled")
end

-- The shell command for one of a measure's: "floor thread 500" is the C program's, "p1 burst 8" runs a side of p1.lua.
local function shell(command)
  local program = command:gsub("^floor ", "")
  if program ~= command then return quote(floor) .. " " .. program end
  return ("%s %s %s"):format(quote(arg[-1]), quote(arg[0]), command)
end

-- Prints what one side of a measure takes, and in lines of their own what it tells besides.
local function run_side(measure, name, ...)
  local sides = require("bench." .. measure).sides
  local number, details = assert(sides[name], "no such side")(...)
  print(("%.9g"):format(number))
  for _, detail in ipairs(details or {}) do print(("%s %.9g"):format(detail[1], detail[2])) end
end

local tiny = os.getenv "TINY"

-- A command with its whole numbers cut down to 20.
local function cut(command)
  return (command:gsub("%f[^ ]%d+%f[ \0]", function(number) return math.min(tonumber(number), 20) end))
end

-- Adds the results of a measure's rows to `results`; tells on stderr how far it is.
local function run_measure(name, rounds, results)
  local frame = require "bench.frame"
  local measure = require("bench." .. name)
  for _, row in ipairs(measure.rows) do
    io.stderr:write(name:upper(), " ", row[1], "\n")
    if tiny then row.rounds = 1 end
    local result = frame.measure(row, rounds, tiny and function(command) return shell(cut(command)) end or shell)
    result.measure, result.title = name:upper(), measure.title
    table.insert(results, result)
  end
end

-- Runs the measures whose names are in `picked`, or all if there is none, and prints the table. All of them are kept in
-- files, too.
local function run_measures(picked)
  local report = require "bench.report"
  local results, wanted = {}, {}
  for name in picked:lower():gmatch "%w+" do wanted[name] = true end
  build_floor()
  for _, name in ipairs(measures) do
    if wanted[name] or not next(wanted) then
      run_measure(name, tonumber(os.getenv "ROUNDS") or 5, results)
    end
  end
  assert(#results > 0, "no such measure")
  io.write(report.text(results))
  if not (tiny or next(wanted)) then require "bench.keep"(results, root) end
end

if arg[1] then run_side(table.unpack(arg)) else run_measures(os.getenv "P" or "") end
