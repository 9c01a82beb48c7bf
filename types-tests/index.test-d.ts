/** The two doors of the package resolve under the names that users write. */
import { expectAssignable } from "tsd"
import * as pagewright from "pagewright"
import * as testing from "pagewright/testing"

expectAssignable<object>(pagewright)
expectAssignable<object>(testing)
