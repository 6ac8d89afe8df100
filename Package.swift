// swift-tools-version:6.2
import PackageDescription

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")

let swift: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

// One floor imports only the floors below it; the order here is the order of the floors.
let libraries: [Target] = [
    .target(name: "CFlotilla", path: "Libraries/CFlotilla", cSettings: [.define("_GNU_SOURCE")]),
    .target(
        name: "FlotillaWire", dependencies: ["CFlotilla", nioCore], path: "Libraries/FlotillaWire",
        swiftSettings: swift),
    .target(
        name: "FlotillaConsensus", dependencies: ["FlotillaWire"], path: "Libraries/FlotillaConsensus",
        swiftSettings: swift),
    .target(
        name: "FlotillaStorage", dependencies: ["FlotillaWire", "CFlotilla", nioCore, deque],
        path: "Libraries/FlotillaStorage", swiftSettings: swift),
    .target(
        name: "FlotillaMachine", dependencies: ["FlotillaWire", nioCore], path: "Libraries/FlotillaMachine",
        swiftSettings: swift),
    .target(
        name: "FlotillaMachines", dependencies: ["FlotillaMachine", "FlotillaWire", nioCore, deque],
        path: "Libraries/FlotillaMachines", swiftSettings: swift),
    .target(
        name: "FlotillaKernel",
        dependencies: [
            "FlotillaWire", "FlotillaConsensus", "FlotillaStorage", "FlotillaMachine", nioCore, deque, heap,
        ],
        path: "Libraries/FlotillaKernel", swiftSettings: swift),
    .target(
        name: "FlotillaNode",
        dependencies: [
            "FlotillaKernel", "FlotillaWire", "FlotillaConsensus", "FlotillaStorage", "FlotillaMachine", "CFlotilla",
            nioCore, nioPosix, logging, lifecycle,
        ],
        path: "Libraries/FlotillaNode", swiftSettings: swift),
    .target(
        name: "FlotillaSimulation",
        dependencies: [
            "FlotillaKernel", "FlotillaConsensus", "FlotillaStorage", "FlotillaMachine", "FlotillaMachines",
            "FlotillaWire", nioCore, heap, deque,
        ],
        path: "Libraries/FlotillaSimulation", swiftSettings: swift),
    .target(
        name: "FlotillaTesting",
        dependencies: [
            "FlotillaSimulation", "FlotillaKernel", "FlotillaConsensus", "FlotillaMachine", "FlotillaWire", nioCore,
        ],
        path: "Libraries/FlotillaTesting", swiftSettings: swift),
    .target(
        name: "FlotillaClient",
        dependencies: [
            "FlotillaWire", "FlotillaMachine", "FlotillaMachines", nioCore, nioPosix, deque, logging,
        ],
        path: "Libraries/FlotillaClient", swiftSettings: swift),
]

// Each service is a library with its logic, so that it can be tested, and a main of a few lines.
let services: [Target] = [
    .target(
        name: "FlotillaNodeService",
        dependencies: [
            "FlotillaNode", "FlotillaKernel", "FlotillaMachine", "FlotillaMachines", "FlotillaStorage", "FlotillaWire",
            arguments, configuration, lifecycle, signals, logging, yams, system,
        ],
        path: "Services/node/Service", swiftSettings: swift),
    .executableTarget(
        name: "FlotillaNodeCommand", dependencies: ["FlotillaNodeService", arguments], path: "Services/node/Main",
        swiftSettings: swift),
    .target(
        name: "FlotillaControl",
        dependencies: [
            "FlotillaClient", "FlotillaMachine", "FlotillaMachines", "FlotillaStorage", "FlotillaWire", nioCore,
            nioPosix, logging, arguments, histogram,
        ],
        path: "Services/ctl/Control", swiftSettings: swift),
    .target(
        name: "FlotillaSimulator", dependencies: ["FlotillaSimulation", arguments],
        path: "Services/simulate/Simulator", swiftSettings: swift),
    .executableTarget(
        name: "FlotillaSimulateCommand", dependencies: ["FlotillaSimulator", arguments], path: "Services/simulate/Main",
        swiftSettings: swift),
    .executableTarget(
        name: "FlotillaCommand", dependencies: ["FlotillaControl"], path: "Services/ctl/Main", swiftSettings: swift),
]

// What docs/state-machines.md is about.
let examples: [Target] = [
    .target(
        name: "Seats", dependencies: ["FlotillaMachine", "FlotillaWire", nioCore], path: "Examples/seats/Seats",
        swiftSettings: swift),
    .executableTarget(
        name: "SeatsNode",
        dependencies: ["Seats", "FlotillaNode", "FlotillaMachine", "FlotillaWire", lifecycle, logging, signals],
        path: "Examples/seats/Main", swiftSettings: swift),
]

let tests: [Target] = [
    .testTarget(
        name: "SeatsTests", dependencies: ["Seats", "FlotillaTesting", "FlotillaWire"], path: "Tests/SeatsTests",
        swiftSettings: swift),
    .testTarget(
        name: "FlotillaConsensusTests", dependencies: ["FlotillaConsensus", "FlotillaWire"],
        path: "Tests/FlotillaConsensusTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaStorageTests",
        dependencies: ["FlotillaStorage", "FlotillaWire", "CFlotilla", nioCore, deque],
        path: "Tests/FlotillaStorageTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaNodeTests",
        dependencies: [
            "FlotillaNode", "FlotillaClient", "FlotillaMachine", "FlotillaStorage", "FlotillaWire", "CFlotilla",
            nioCore,
            logging,
        ],
        path: "Tests/FlotillaNodeTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaWireTests", dependencies: ["FlotillaWire", "CFlotilla", nioCore],
        path: "Tests/FlotillaWireTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaMachineTests", dependencies: ["FlotillaMachine", "FlotillaWire", nioCore],
        path: "Tests/FlotillaMachineTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaMachinesTests", dependencies: ["FlotillaMachines", "FlotillaMachine", "FlotillaWire", nioCore],
        path: "Tests/FlotillaMachinesTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaKernelTests",
        dependencies: [
            "FlotillaKernel", "FlotillaWire", "FlotillaConsensus", "FlotillaStorage", "FlotillaMachine",
            "FlotillaMachines", nioCore,
        ],
        path: "Tests/FlotillaKernelTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaSimulationTests",
        dependencies: [
            "FlotillaSimulation", "FlotillaKernel", "FlotillaConsensus", "FlotillaStorage", "FlotillaMachine",
            "FlotillaMachines", "FlotillaWire", nioCore,
        ],
        path: "Tests/FlotillaSimulationTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaTestingTests",
        dependencies: ["FlotillaTesting", "FlotillaMachine", "FlotillaMachines", "FlotillaWire", nioCore],
        path: "Tests/FlotillaTestingTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaSimulatorTests", dependencies: ["FlotillaSimulator"], path: "Tests/FlotillaSimulatorTests",
        swiftSettings: swift),
    .testTarget(
        name: "FlotillaClientTests",
        dependencies: [
            "FlotillaClient", "FlotillaMachine", "FlotillaWire", "FlotillaTestNode", nioCore, nioPosix,
        ],
        path: "Tests/FlotillaClientTests", swiftSettings: swift),
    .testTarget(
        name: "FlotillaControlTests",
        dependencies: [
            "FlotillaControl", "FlotillaMachines", "FlotillaStorage", "FlotillaWire", "FlotillaTestNode", nioCore,
            nioPosix, arguments,
        ],
        path: "Tests/FlotillaControlTests", swiftSettings: swift),
    .testTarget(
        name: "EndToEndTests",
        dependencies: [
            "FlotillaClient", "FlotillaMachine", "FlotillaMachines", "FlotillaWire", "FlotillaCommand",
            "FlotillaNodeCommand", "FlotillaSimulation", "FlotillaSimulateCommand", nioCore,
        ],
        path: "Tests/EndToEndTests", swiftSettings: swift),
    // A node that follows a script, for the tests of everything that speaks to nodes.
    .target(
        name: "FlotillaTestNode", dependencies: ["FlotillaMachine", "FlotillaWire", nioCore, nioPosix],
        path: "Tests/FlotillaTestNode",
        swiftSettings: swift),
]

let package = Package(
    name: "flotilla",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "flotilla", targets: ["FlotillaCommand"]),
        .executable(name: "flotilla-node", targets: ["FlotillaNodeCommand"]),
        .executable(name: "flotilla-simulate", targets: ["FlotillaSimulateCommand"]),
        .library(
            name: "FlotillaClient", targets: ["FlotillaClient", "FlotillaMachine", "FlotillaMachines", "FlotillaWire"]),
        .library(name: "FlotillaTesting", targets: ["FlotillaTesting", "FlotillaMachine", "FlotillaWire"]),
        .library(
            name: "FlotillaNode", targets: ["FlotillaNode", "FlotillaMachine", "FlotillaMachines", "FlotillaWire"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: libraries + services + examples + tests
)
