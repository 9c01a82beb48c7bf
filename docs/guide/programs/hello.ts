import { Console } from "effect"
import { Kernel } from "pagewright"

export default Kernel.scenario({ name: "hello", frames: 64 }, Console.log("booted"))
