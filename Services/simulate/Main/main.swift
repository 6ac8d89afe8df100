import ArgumentParser
import FlotillaSimulator

SimulatorCommand.main()
