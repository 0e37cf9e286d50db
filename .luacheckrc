std = "lua54"
max_line_length = 128
ignore = { "212/self" }                       -- a method need not use its object
files["spec"].std = "+busted"
files["spec"].allow_defined = true            -- specs send functions that read globals
files["examples"].allow_defined = true
exclude_files = { "build", "lua_modules", "luarocks" }
files["spec"].ignore = { "131" }               -- and set some for that
