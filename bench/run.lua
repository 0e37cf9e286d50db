-- run.lua
-- Runs the benchmarks and prints one table: `lua5.4 bench/run.lua`, with P=P2 or P="P2 P3" before it for some of them,
-- and ROUNDS=9 for more than five rounds. With arguments it runs one side of one measure once, as the frame does, and
-- prints its seconds per operation: `lua5.4 bench/run.lua p2 main integer 100000`.

local here = arg[0]:match "^(.*[/\\])" or "./"
local root = here .. "../"
package.path = table.concat({root .. "?.lua", root .. "lua/?.lua", root .. "lua/?/init.lua", root .. "examples/?.lua",
                             package.path}, ";")
package.cpath = root .. "build/?.so;" .. package.cpath

local measures = {"p1", "p2", "p3", "p4", "p6", "p7", "jobs"}
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

-- Prints what one side of a measure takes.
local function run_side(measure, name, ...)
  local sides = require("bench." .. measure).sides
  print(("%.9g"):format(assert(sides[name], "no such side")(...)))
end

-- The cells of a measure's rows; tells on stderr how far it is.
local function run_measure(name, rounds, all_cells)
  local frame = require "bench.frame"
  for _, row in ipairs(require("bench." .. name).rows) do
    io.stderr:write(name:upper(), " ", row[1], "\n")
    local cells = frame.row(row, rounds, shell)
    cells[1] = name:upper() .. " " .. cells[1]
    table.insert(all_cells, cells)
  end
end

-- Runs the measures whose names are in `picked`, or all if there is none, and prints the table.
local function run_measures(picked)
  local all_cells, wanted = {}, {}
  for name in picked:lower():gmatch "%w+" do wanted[name] = true end
  build_floor()
  for _, name in ipairs(measures) do
    if wanted[name] or not next(wanted) then
      run_measure(name, tonumber(os.getenv "ROUNDS") or 5, all_cells)
    end
  end
  assert(#all_cells > 0, "no such measure")
  require "bench.frame".print(all_cells, io.stdout)
end

if arg[1] then run_side(table.unpack(arg)) else run_measures(os.getenv "P" or "") end
