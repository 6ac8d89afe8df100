import ArgumentParser
import FlotillaNodeService

@main
struct FlotillaNodeMain {
    static func main() async { await NodeCommand.main() }
}
