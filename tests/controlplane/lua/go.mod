// Argo CD's Lua, built when a test asks for it.
module rejob.dev/tests/lua

go 1.26.1

require (
	github.com/yuin/gopher-lua v1.1.1
	layeh.com/gopher-json v0.0.0-20190114024228-97fed8db8427
)
