define i32 @k(ptr noalias %ctx, ptr noalias %dims, ptr noalias %buffers, i64 %begin, i64 %end) #0 {
entry1:
  %slot2 = getelementptr ptr, ptr %buffers, i64 0
  %p3 = load ptr, ptr %slot2, align 8, !invariant.load !0
  %slot4 = getelementptr ptr, ptr %buffers, i64 1
  %p5 = load ptr, ptr %slot4, align 8, !invariant.load !0
  %enters134 = icmp slt i64 %begin, %end
  br i1 %enters134, label %loop6, label %after133
loop6:
  %c7 = phi i64 [ %begin, %entry1 ], [ %next131, %after129 ]
  %i10 = mul nsw i64 %c7, -2
  %i11 = add nsw i64 %i10, 1
  %i12 = call i64 @llvm.smax.i64(i64 %i11, i64 0)
  %i21 = mul nsw i64 %c7, 256
  %i22 = getelementptr float, ptr %p3, i64 %i21
  %i42 = mul nsw i64 %c7, 96
  %i43 = getelementptr float, ptr %p5, i64 %i42
  br label %loop8
loop8:
  %c9 = phi i64 [ 0, %loop6 ], [ %next47, %after39 ]
  %i16 = mul nsw i64 %c9, -2
  %i17 = add nsw i64 %i16, 1
  %i23 = mul nsw i64 %c9, 32
  %i24 = getelementptr float, ptr %i22, i64 %i23
  %enters40 = icmp slt i64 %i12, 3
  br i1 %enters40, label %loop13, label %after39
loop13:
  %c14 = phi i64 [ %i12, %loop8 ], [ %next37, %after34 ]
  %c15 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop8 ], [ %r36, %after34 ]
  %i25 = mul nsw i64 %c14, 128
  %i26 = getelementptr float, ptr %i24, i64 %i25
  %enters35 = icmp slt i64 %i17, 3
  br i1 %enters35, label %loop18, label %after34
loop18:
  %c19 = phi i64 [ %i17, %loop13 ], [ %next32, %loop18 ]
  %c20 = phi <16 x float> [ %c15, %loop13 ], [ %v31, %loop18 ]
  %i27 = mul nsw i64 %c19, 16
  %i28 = getelementptr float, ptr %i26, i64 %i27
  %i29 = getelementptr float, ptr %i28, i64 -144
  %v30 = load <16 x float>, ptr %i29, align 4
  %v31 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %c20, <16 x float> %v30)
  %next32 = add nsw i64 %c19, 1
  %again33 = icmp slt i64 %next32, 3
  br i1 %again33, label %loop18, label %after34
after34:
  %r36 = phi <16 x float> [ %c15, %loop13 ], [ %v31, %loop18 ]
  %next37 = add nsw i64 %c14, 1
  %again38 = icmp slt i64 %next37, 3
  br i1 %again38, label %loop13, label %after39
after39:
  %r41 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop8 ], [ %r36, %after34 ]
  %i44 = mul nsw i64 %c9, 16
  %i45 = getelementptr float, ptr %i43, i64 %i44
  %i46 = getelementptr float, ptr %i45, i64 112
  store <16 x float> %r41, ptr %i46, align 4
  %next47 = add nsw i64 %c9, 1
  %again48 = icmp slt i64 %next47, 1
  br i1 %again48, label %loop8, label %after49
after49:
  br label %loop50
loop50:
  %c51 = phi i64 [ 0, %after49 ], [ %next96, %after86 ]
  %i57 = mul nsw i64 %c51, 96
  %i58 = getelementptr float, ptr %i22, i64 %i57
  %enters87 = icmp slt i64 %i12, 3
  br i1 %enters87, label %loop52, label %after86
loop52:
  %c53 = phi i64 [ %i12, %loop50 ], [ %next84, %loop52 ]
  %c54 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop50 ], [ %v69, %loop52 ]
  %c55 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop50 ], [ %v76, %loop52 ]
  %c56 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop50 ], [ %v83, %loop52 ]
  %i59 = mul nsw i64 %c53, 128
  %i60 = getelementptr float, ptr %i58, i64 %i59
  %i61 = getelementptr float, ptr %i60, i64 -112
  %v62 = load <16 x float>, ptr %i61, align 4
  %i63 = getelementptr float, ptr %i60, i64 -96
  %v64 = load <16 x float>, ptr %i63, align 4
  %i65 = getelementptr float, ptr %i60, i64 -80
  %v66 = load <16 x float>, ptr %i65, align 4
  %v67 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %v62, <16 x float> %v64)
  %v68 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %v67, <16 x float> %v66)
  %v69 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %c54, <16 x float> %v68)
  %i70 = getelementptr float, ptr %i60, i64 -64
  %v71 = load <16 x float>, ptr %i70, align 4
  %i72 = getelementptr float, ptr %i60, i64 -48
  %v73 = load <16 x float>, ptr %i72, align 4
  %v74 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %v66, <16 x float> %v71)
  %v75 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %v74, <16 x float> %v73)
  %v76 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %c55, <16 x float> %v75)
  %i77 = getelementptr float, ptr %i60, i64 -32
  %v78 = load <16 x float>, ptr %i77, align 4
  %i79 = getelementptr float, ptr %i60, i64 -16
  %v80 = load <16 x float>, ptr %i79, align 4
  %v81 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %v73, <16 x float> %v78)
  %v82 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %v81, <16 x float> %v80)
  %v83 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %c56, <16 x float> %v82)
  %next84 = add nsw i64 %c53, 1
  %again85 = icmp slt i64 %next84, 3
  br i1 %again85, label %loop52, label %after86
after86:
  %r88 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop50 ], [ %v69, %loop52 ]
  %r89 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop50 ], [ %v76, %loop52 ]
  %r90 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop50 ], [ %v83, %loop52 ]
  %i91 = mul nsw i64 %c51, 48
  %i92 = getelementptr float, ptr %i43, i64 %i91
  %i93 = getelementptr float, ptr %i92, i64 128
  store <16 x float> %r88, ptr %i93, align 4
  %i94 = getelementptr float, ptr %i92, i64 144
  store <16 x float> %r89, ptr %i94, align 4
  %i95 = getelementptr float, ptr %i92, i64 160
  store <16 x float> %r90, ptr %i95, align 4
  %next96 = add nsw i64 %c51, 1
  %again97 = icmp slt i64 %next96, 1
  br i1 %again97, label %loop50, label %after98
after98:
  %enters130 = icmp slt i64 0, 0
  br i1 %enters130, label %loop99, label %after129
loop99:
  %c100 = phi i64 [ 0, %after98 ], [ %next127, %after121 ]
  %i107 = mul nsw i64 %c100, 32
  %i108 = getelementptr float, ptr %i22, i64 %i107
  %enters122 = icmp slt i64 %i12, 3
  br i1 %enters122, label %loop101, label %after121
loop101:
  %c102 = phi i64 [ %i12, %loop99 ], [ %next119, %after118 ]
  %c103 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop99 ], [ %v115, %after118 ]
  %i109 = mul nsw i64 %c102, 128
  %i110 = getelementptr float, ptr %i108, i64 %i109
  br label %loop104
loop104:
  %c105 = phi i64 [ 0, %loop101 ], [ %next116, %loop104 ]
  %c106 = phi <16 x float> [ %c103, %loop101 ], [ %v115, %loop104 ]
  %i111 = mul nsw i64 %c105, 16
  %i112 = getelementptr float, ptr %i110, i64 %i111
  %i113 = getelementptr float, ptr %i112, i64 -16
  %v114 = load <16 x float>, ptr %i113, align 4
  %v115 = call nsz <16 x float> @llvm.maximum.v16f32(<16 x float> %c106, <16 x float> %v114)
  %next116 = add nsw i64 %c105, 1
  %again117 = icmp slt i64 %next116, 3
  br i1 %again117, label %loop104, label %after118
after118:
  %next119 = add nsw i64 %c102, 1
  %again120 = icmp slt i64 %next119, 3
  br i1 %again120, label %loop101, label %after121
after121:
  %r123 = phi <16 x float> [ splat (float 0xFFF0000000000000), %loop99 ], [ %v115, %after118 ]
  %i124 = mul nsw i64 %c100, 16
  %i125 = getelementptr float, ptr %i43, i64 %i124
  %i126 = getelementptr float, ptr %i125, i64 176
  store <16 x float> %r123, ptr %i126, align 4
  %next127 = add nsw i64 %c100, 1
  %again128 = icmp slt i64 %next127, 0
  br i1 %again128, label %loop99, label %after129
after129:
  %next131 = add nsw i64 %c7, 1
  %again132 = icmp slt i64 %next131, %end
  br i1 %again132, label %loop6, label %after133
after133:
  ret i32 0
}

declare i64 @llvm.smax.i64(i64, i64)
declare <16 x float> @llvm.maximum.v16f32(<16 x float>, <16 x float>)
attributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }
!0 = !{}
