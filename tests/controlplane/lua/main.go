// Runs a resource action of Argo CD in the Lua that Argo CD runs it in, with the libraries that it opens
// (argo-cd, util/lua/lua.go): the base, tables, and os with date and time alone.
//
// From stdin: {"script": "…", "obj": {…}}. To stdout: what the script returns, as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

func main() {
	var input struct {
		Script string
		Obj    json.RawMessage
	}
	err := json.NewDecoder(os.Stdin).Decode(&input)
	if err == nil {
		err = run(input.Script, input.Obj)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(script string, obj []byte) error {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		call := lua.P{Fn: state.NewFunction(open), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return err
		}
	}
	state.PreloadModule(lua.OsLibName, safeOs)
	value, err := luajson.Decode(state, obj)
	if err != nil {
		return err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		return err
	}
	encoded, err := luajson.Encode(state.Get(-1))
	fmt.Println(string(encoded))
	return err
}

func safeOs(state *lua.LState) int {
	state.Push(state.SetFuncs(state.NewTable(), map[string]lua.LGFunction{
		"time": func(state *lua.LState) int {
			state.Push(lua.LNumber(time.Now().Unix()))
			return 1
		},
		"date": func(state *lua.LState) int {
			if format := state.CheckString(1); format != "!%Y-%m-%dT%XZ" {
				state.RaiseError("os.date knows the format of Argo CD's own actions here, not %s", format)
			}
			state.Push(lua.LString(time.Now().UTC().Format("2006-01-02T15:04:05Z")))
			return 1
		},
	}))
	return 1
}
