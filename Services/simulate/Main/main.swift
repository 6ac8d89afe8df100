import ArgumentParser
import FlotillaSimulator

SimulateCommand.main()
