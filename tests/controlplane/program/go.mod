// What the programs around the controllers' libraries share; of the standard library alone, so that
// neither's versions matter to the other.
module rejob.dev/tests/program

go 1.26.0
