// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: Swift 6 mode, explicit imports, warnings are errors.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// Hot state in classes: dynamic exclusivity checks cost a third of the CPU per message there.
///
/// They stay on in debug builds, in which all tests run.
let uncheckedInRelease: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

/// Properties that lend bytes without a closure.
let lifetimes: [SwiftSetting] = [.enableExperimentalFeature("Lifetimes")]

/// Targets that call Linux file functions beyond POSIX.
let gnuSource: [CSetting] = [.define("_GNU_SOURCE")]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let asn1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let arguments = Target.Dependency.product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
    name: "radiator",
    products: [
        .executable(name: "radiatord", targets: ["radiatord"]),
        .executable(name: "radiator-log", targets: ["radiator-log"]),
        .executable(name: "radiator-bench", targets: ["radiator-bench"]),
        .executable(name: "radiator-micro", targets: ["radiator-micro"]),
        .executable(name: "radiator-sink", targets: ["radiator-sink"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        .target(name: "CChecksum"),
        .target(name: "CLineMarks"),
        .target(name: "CRing"),
        .target(name: "CCrypt", linkerSettings: [.linkedLibrary("crypt")]),
        .systemLibrary(
            name: "CZlib",
            pkgConfig: "zlib",
            providers: [.apt(["zlib1g-dev"])]
        ),
        .systemLibrary(
            name: "CZstd",
            pkgConfig: "libzstd",
            providers: [.apt(["libzstd-dev"])]
        ),
        .target(name: "Base", swiftSettings: strict),
        .target(
            name: "ByteSpans",
            dependencies: [nioCore],
            swiftSettings: strict + uncheckedInRelease + lifetimes
        ),
        .target(
            name: "LogStore",
            dependencies: ["Base", "CChecksum", "CRing", "CZlib", "CZstd", collections],
            cSettings: gnuSource,
            swiftSettings: strict + uncheckedInRelease
        ),
        .target(
            name: "Broker",
            dependencies: ["Base", "ByteSpans", "LogStore", nioCore, collections, heap],
            swiftSettings: strict + uncheckedInRelease
        ),
        .target(
            name: "StompCodec",
            dependencies: ["Base", "ByteSpans", "CLineMarks", nioCore],
            swiftSettings: strict + uncheckedInRelease + lifetimes
        ),
        .target(
            name: "Server",
            dependencies: [
                "Base", "ByteSpans", "CCrypt", "LogStore", "Broker", "StompCodec", nioCore,
                nioPosix, nioTLS, nioHTTP1, nioWebSocket, nioSSL, asn1, collections, logging,
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: strict + uncheckedInRelease
        ),
        .executableTarget(
            name: "radiatord",
            dependencies: ["Server", arguments],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "radiator-log",
            dependencies: ["Base", "LogStore", "StompCodec", nioCore, arguments],
            path: "tools/logtool",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "radiator-bench",
            dependencies: ["Base", nioCore, nioPosix, arguments],
            path: "Benchmarks/radiator-bench",
            swiftSettings: strict + uncheckedInRelease
        ),
        .executableTarget(
            name: "radiator-micro",
            dependencies: ["Base", "LogStore", "Broker", "StompCodec", nioCore, collections],
            path: "Benchmarks/radiator-micro",
            swiftSettings: strict,
            // valgrind stops at Swift's debug information.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--strip-debug"])]
        ),
        .executableTarget(
            name: "radiator-sink",
            path: "Benchmarks/sink",
            cSettings: gnuSource
        ),

        .target(
            name: "TestSupport",
            dependencies: ["Base", "LogStore", "Broker", nioCore, collections],
            path: "Tests/Support",
            swiftSettings: strict
        ),
        .testTarget(name: "BaseTests", dependencies: ["Base"], swiftSettings: strict),
        .testTarget(
            name: "LogStoreTests",
            dependencies: ["Base", "LogStore", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "FormatTests",
            dependencies: ["Base", "LogStore", "TestSupport"],
            exclude: ["Fixtures"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BrokerTests",
            dependencies: [
                "Base", "Broker", "ByteSpans", "LogStore", "TestSupport", nioCore, collections,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "StompCodecTests",
            dependencies: ["Base", "StompCodec", nioCore],
            exclude: ["README.md"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "Base", "Broker", "ByteSpans", "Server", "StompCodec", "TestSupport", nioCore,
                nioEmbedded, nioPosix, nioTLS, nioHTTP1, nioWebSocket, nioSSL, logging,
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["Base", "LogStore", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(name: "TidyTests", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)

/// `FUZZ=1` adds the libFuzzer target; see Tests/StompCodecTests/README.md.
if Context.environment["FUZZ"] != nil {
    let fuzzer = "-sanitize=fuzzer,address"
    for target in package.targets where target.name == "StompCodec" {
        target.swiftSettings = strict + lifetimes + [.unsafeFlags([fuzzer])]
    }
    package.targets.append(
        .executableTarget(
            name: "stomp-fuzz",
            dependencies: ["StompCodec", nioCore],
            path: "Tests/StompFuzz",
            swiftSettings: strict + [.unsafeFlags([fuzzer])],
            linkerSettings: [.unsafeFlags([fuzzer, "-use-ld=lld"])]
        )
    )
}
