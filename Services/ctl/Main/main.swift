import FlotillaControl
import Foundation

exit(await ControlCommandLine.run(Array(CommandLine.arguments.dropFirst())))
